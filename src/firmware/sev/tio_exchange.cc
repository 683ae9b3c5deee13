#include <algorithm>

#include "firmware/sev/tio.h"
#include "wire/doe.h"

// Commands that talk to a device: sev_tio_do_cmd() and sev_tio_continue() of Linux
// drivers/crypto/ccp/sev-dev-tio.c, seen from the other side.

namespace teeio::sev {
namespace {

/// What a session needs of the scratch buffer; more than TIO_STATUS promises, so that each
/// connection has its buffer expanded (model's choice).
constexpr std::size_t kScratchBytes = 2 * kPageSize;

}  // namespace

/// What a command ends with whose scratch buffer is too small.
std::optional<Status> Tio::want_scratch(TioCall& c) {
  if (std::ranges::count(tio_layout(c.command), TioField::kSpdm) == 0) return std::nullopt;
  const auto scratch = Buffer::open(psp_.memory(), c.in.spdm.scratch);
  if (!scratch || scratch->size() >= kScratchBytes) return std::nullopt;
  if (!scratch->put_header({.capacity = kScratchBytes, .payload = 0}))
    return c.call.refuse(Status::kInvalidAddress, "the scratch buffer is not there");
  return c.call.outcome(Status::kExpandBufferLengthRequest);
}

Status Tio::begin(TioCall& c, Conversation talk,
                  std::function<Status(TioCall&, const Result<void>&)> finish) {
  c.device->pending = PendingCommand{.command = c.command,
                                     .tdi = c.tdi_page(),
                                     .forced = c.forced(),
                                     .talk = std::move(talk),
                                     .finish = std::move(finish)};
  return resume(c);
}

Status Tio::resume(TioCall& c) {
  PendingCommand& pending = *c.device->pending;
  if (pending.output) return deliver(c);
  Result<void> how;
  if (pending.asked) how = take_answer(c);
  if (how) {
    const Result<Bytes> next = pending.talk.next(*c.device->channel);
    const Result<bool> put = next ? put_request(c, *next) : std::unexpected(next.error());
    if (!put) {
      how = std::unexpected(put.error());
    } else if (*put) {
      pending.asked = true;
      return c.call.outcome(Status::kSpdmRequest);
    }
  }
  const auto finish = std::move(pending.finish);
  const Status status = finish(c, how);
  if (status == Status::kSuccess && pending.output) return deliver(c);
  c.device->pending.reset();
  return status;
}

/// False: there is no object, all is said.
Result<bool> Tio::put_request(TioCall& c, ByteView object) {
  if (object.empty()) return false;
  TEEIO_ASSIGN(const wire::DoeObject doe, wire::DoeObject::decode(object));
  TEEIO_ASSIGN(const Buffer buffer, Buffer::open(psp_.memory(), c.in.spdm.request));
  for (const Hpa page : buffer.pages())
    if (psp_.rmp().state(page) != PageState::kFirmware)
      return fail(Errno::kFault, "the request buffer is not the firmware's");
  TEEIO_TRY(buffer.put_object({.id = DataObject::Id::kRequest,
                               .type = doe.type,
                               .data = Bytes(doe.payload.begin(), doe.payload.end())}));
  return true;
}

/// What the host makes of a data object's length is rounded up; SPDM says how long it is.
Result<void> Tio::take_answer(TioCall& c) {
  TEEIO_ASSIGN(const Buffer buffer, Buffer::open(psp_.memory(), c.in.spdm.response));
  TEEIO_ASSIGN(const DataObject answer, buffer.object());
  if (answer.id != DataObject::Id::kResponse || answer.data.empty())
    return fail(Errno::kIo, "the host brings no answer");
  const Bytes object = wire::DoeObject{.type = answer.type, .payload = answer.data}.encode();
  return c.device->pending->talk.take(*c.device->channel, object);
}

Status Tio::give_output(TioCall& c, DataObject::Id id, std::uint8_t type, Bytes data) {
  c.device->pending->output =
      DataObject{.id = id,
                 .type = type,
                 .device_id = c.device->function.rid(),
                 .segment = static_cast<std::uint8_t>(c.device->function.domain),
                 .data = std::move(data)};
  return Status::kSuccess;
}

/// The output buffer may be too small: the command waits for a larger one.
Status Tio::deliver(TioCall& c) {
  const DataObject& output = *c.device->pending->output;
  const auto buffer = Buffer::open(psp_.memory(), c.in.spdm.output);
  bool ours = buffer.has_value();
  for (std::size_t n = 0; ours && n < buffer->pages().size(); ++n)
    ours = psp_.rmp().state(buffer->pages()[n]) == PageState::kFirmware;
  if (!ours)
    return c.call.refuse(Status::kInvalidPageState, "the output buffer is not the firmware's");
  const std::size_t wanted = Buffer::size_for(output);
  if (wanted > buffer->size()) {
    const std::size_t pages = (wanted + kPageSize - 1) / kPageSize;
    if (pages > Sla::kMaxPages) {
      c.device->pending.reset();
      return c.call.refuse(Status::kResponseTooLarge, "no buffer holds the device's answer");
    }
    if (buffer->put_header({.capacity = static_cast<std::uint32_t>(pages * kPageSize)}))
      return c.call.outcome(Status::kExpandBufferLengthRequest);
  }
  const bool written = buffer->put_object(output).has_value();
  c.device->pending.reset();
  if (!written) return c.call.refuse(Status::kInvalidAddress, "the output buffer is not there");
  return Status::kSuccess;
}

/// What a command ends with whose exchange went wrong.
Status Tio::broken(TioCall& c, const Error& error) {
  const bool alive = c.device->channel->connected();
  return c.call.refuse(alive ? Status::kSpdmError : Status::kErrorInDeviceConnection, error.why);
}

}  // namespace teeio::sev
