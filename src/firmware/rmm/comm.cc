#include "firmware/rmm/command.h"

// Driving a communication: TF-RMM runtime/rmi/pdev.c, dev_communicate().

namespace teeio::rmm {

using Status = HostComm::Status;

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
  comm.connects = false;
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
    if (comm.connects) {
      TEEIO_TRY(pdev.channel->connect_response(object));
    } else {
      const Exchange done = std::move(comm.script.front());
      comm.script.pop_front();
      TEEIO_ASSIGN(const Bytes answer, pdev.channel->open(done.protocol, object));
      TEEIO_TRY(done.take(answer));
    }
  }
  Bytes next;
  if (comm.connects) next = pdev.channel->connect_request().value_or(Bytes{});
  if (next.empty() && !comm.script.empty()) {
    const Exchange& request = comm.script.front();
    TEEIO_ASSIGN(next, pdev.channel->seal(request.protocol, request.request));
  }
  TEEIO_TRY(memory_.write(data, next));
  return next;
}

}  // namespace teeio::rmm
