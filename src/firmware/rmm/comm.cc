#include "crypto/secret.h"
#include "firmware/rmm/command.h"

// Driving a communication: TF-RMM runtime/rmi/pdev.c, dev_communicate().

namespace teeio::rmm {

using Status = HostComm::Status;

namespace {

std::optional<Bytes> channel_request(spdm::RequesterChannel& channel, const Comm& comm) {
  switch (comm.channel) {
    case Comm::Channel::kConnect:
      return channel.connect_request();
    case Comm::Channel::kMeasure:
      return channel.measure_request(comm.nonce);
    case Comm::Channel::kDisconnect:
      return channel.disconnect_request();
    case Comm::Channel::kNothing:
      break;
  }
  return std::nullopt;
}

Result<void> channel_response(spdm::RequesterChannel& channel, const Comm& comm, ByteView object) {
  switch (comm.channel) {
    case Comm::Channel::kConnect:
      return channel.connect_response(object);
    case Comm::Channel::kMeasure:
      return channel.measure_response(object);
    case Comm::Channel::kDisconnect:
      channel.disconnect_response(object);
      break;
    case Comm::Channel::kNothing:
      break;
  }
  return {};
}

}  // namespace

/// A failed exchange ends in the object's state; the call itself succeeds.
RmiResult Rmm::talk(Command& c, Pdev& pdev, Comm& comm, Hpa data, HostComm host) {
  if (!c.granule(data, GranuleState::kNs)) return c.result();
  const bool active = comm.state == Comm::State::kActive;
  if (!active && comm.state != Comm::State::kPending)
    return c.refuse(Code::kDevice, "no communication is due");
  if (active ? host.status == Status::kNone : host.status != Status::kNone)
    return c.refuse(active ? Code::kInput : Code::kDevice, "the host's status does not fit");
  if (host.status == Status::kResponse &&
      (host.response_bytes == 0 || host.response_bytes > kPageSize))
    return c.refuse(Code::kInput, "the response has no or too many bytes");
  const Result<Bytes> next = advance(pdev, comm, data, host);
  if (next && !next->empty()) {
    comm.state = Comm::State::kActive;
    return {.x1 = next->size()};
  }
  if (!next) c.remark(next.error().why);
  comm.state = next ? Comm::State::kIdle : Comm::State::kError;
  comm.channel = Comm::Channel::kNothing;
  comm.script.clear();
  std::exchange(comm.finish, nullptr)(next.has_value());
  return {};
}

/// Takes the answer, if one is due, and leaves the next request in the data
/// page; gives that request, empty at the end.
Result<Bytes> Rmm::advance(Pdev& pdev, Comm& comm, Hpa data, HostComm host) {
  if (host.status == Status::kError) return fail(Errno::kIo, "the host reports an error");
  if (host.status == Status::kResponse) {
    Bytes object(host.response_bytes);
    TEEIO_TRY(memory_.read(data, object));
    if (comm.channel != Comm::Channel::kNothing) {
      TEEIO_TRY(channel_response(*pdev.channel, comm, object));
    } else {
      const Exchange done = std::move(comm.script.front());
      comm.script.pop_front();
      TEEIO_ASSIGN(const Bytes answer, pdev.channel->open(done.protocol, object));
      TEEIO_TRY(done.take(answer));
    }
  }
  Bytes next = channel_request(*pdev.channel, comm).value_or(Bytes{});
  if (next.empty() && comm.channel == Comm::Channel::kConnect && !pdev.channel->connected())
    return fail(Errno::kIo, "the device cannot be connected");
  if (next.empty()) comm.channel = Comm::Channel::kNothing;
  if (next.empty() && !comm.script.empty()) {
    Exchange& request = comm.script.front();
    auto sealed = pdev.channel->seal(request.protocol, request.request);
    crypto::wipe(request.request);  // sent once; a KEY_PROG has a key in it
    if (!sealed) return std::unexpected(sealed.error());
    next = std::move(*sealed);
  }
  TEEIO_TRY(memory_.write(data, next));
  return next;
}

}  // namespace teeio::rmm
