#include <algorithm>

#include "firmware/sev/tio.h"
#include "firmware/sev/tio_messages.h"

// TIO_GUEST_REQUEST: what a guest says to the firmware through its host.

namespace teeio::sev {
namespace {

using object::Fact;

/// Faults of a message's TDI that all messages number alike.
constexpr std::uint16_t kInvalidTdi = 1;
constexpr std::uint16_t kTdiUnbound = 2;

std::uint8_t response_of(std::uint8_t request) { return static_cast<std::uint8_t>(request + 1); }

}  // namespace

Tio::MessageState Tio::open_message(TioCall& c) {
  if (c.message) return MessageState::kOpen;
  const auto page = psp_.read_page(c.in.request_page, kPageSize);
  const auto sealed = page ? SealedMessage::decode(*page) : std::unexpected(page.error());
  if (!sealed) return MessageState::kMalformed;
  const GuestMessage& message = sealed->message;
  if (message.sequence != c.guest->sequence.at(message.key) + 1) return MessageState::kMalformed;
  auto opened = sealed->open(c.guest->message_keys.at(message.key));
  if (!opened) return MessageState::kForged;
  c.message = std::move(*opened);
  return MessageState::kOpen;
}

/// A message that is the guest's has its sequence number used up, whatever comes of it. Its
/// content is answered in a message; only one of an unknown type or size is refused.
Status Tio::guest_request(TioCall& c) {
  const GuestMessage& message = *c.message;
  const auto type = TioMessage{message.type};
  const auto has = [&](std::size_t bytes) { return message.payload.size() == bytes; };
  if (message.version == 1 && type == TioMessage::kTdiInfoRequest && has(kTdiInfoRequestSize))
    return answer_guest(c, tdi_info_answer(c));
  if (message.version == 1 && type == TioMessage::kMmioValidateRequest &&
      has(kMmioValidateRequestSize))
    return answer_guest(c, mmio_validate_answer(c));
  if (message.version == 1 && type == TioMessage::kMmioConfigRequest && has(kMmioConfigRequestSize))
    return mmio_config(c);
  if (message.version == 1 && type == TioMessage::kSdteWriteRequest && has(kSdteWriteRequestSize))
    return answer_guest(c, sdte_answer(c));
  return c.call.refuse(Status::kInvalidParam, "there is no such guest message");
}

/// Request and response use one number each.
Status Tio::answer_guest(TioCall& c, Bytes payload) {
  std::uint64_t& used = c.guest->sequence.at(c.message->key);
  GuestMessage answer{.sequence = c.message->sequence + 1,
                      .type = response_of(c.message->type),
                      .version = c.message->version,
                      .key = c.message->key,
                      .payload = std::move(payload)};
  used = answer.sequence;
  const Bytes sealed = answer.seal(c.guest->message_keys.at(answer.key));
  if (psp_.write_page(c.in.response_page, sealed)) return Status::kSuccess;
  return c.call.refuse(Status::kInvalidPageState, "the response page is not the firmware's");
}

/// 0, or what is wrong with the TDI that a message names: it must be the one that the host
/// names too, and this guest's.
std::uint16_t Tio::tdi_fault(const TioCall& c, std::uint16_t guest_device_id) const {
  const TdiContext& tdi = *c.tdi;
  if (tdi.guest != c.in.guest) return raw(tdi.guest) == 0 ? kTdiUnbound : kInvalidTdi;
  if (tdi.guest_device_id != guest_device_id) return kInvalidTdi;
  return tdi.bound() ? 0 : kTdiUnbound;
}

/// struct tio_msg_tdi_info_rsp.
Bytes Tio::tdi_info_answer(TioCall& c) const {
  const auto id = Reader(c.message->payload).le<std::uint16_t>();
  const std::uint16_t fault = tdi_fault(c, id);
  Writer out;
  out.le(id).le(fault).zeros(12);
  if (fault != 0) return out.zeros(176).take();
  const DeviceContext& device = *c.device;
  out.le(static_cast<std::uint32_t>(device.measured ? 1 : 0) |
         static_cast<std::uint32_t>(device.fresh ? 2 : 0));
  out.le(std::uint32_t{c.tdi->lock_flags}).le(algorithms_of(device));
  out.bytes(digest_of(certificates(device))).bytes(digest_of(measurements(device)));
  return out.bytes(digest_of(c.tdi->report)).le(c.tdi->report_count).zeros(8).take();
}

/// The entry takes effect with RUN: until then the device sends nothing that is trusted.
Bytes Tio::sdte_answer(TioCall& c) {
  Reader in(c.message->payload);
  const auto id = in.le<std::uint16_t>();
  in.skip(14);
  auto status = static_cast<SdteWriteStatus>(tdi_fault(c, id));
  const auto wanted = SecureDte::decode(in.rest());
  if (status == SdteWriteStatus::kSuccess && !wanted) status = SdteWriteStatus::kReserved;
  if (status == SdteWriteStatus::kSuccess) {
    TdiContext& tdi = *c.tdi;
    SecureDte entry = *wanted;
    entry.asid = tdi.asid;
    entry.guest_device_id = tdi.guest_device_id;
    if (!entry.valid) {
      dma_off(tdi);
    } else {
      guard_.write(tdi.function.rid(), entry);
      if (!std::exchange(tdi.dma, true)) fact(Fact::kTrustedDmaOn, "sDTE valid", tdi);
    }
  }
  return Writer().le(id).le(static_cast<std::uint16_t>(status)).zeros(12).take();
}

}  // namespace teeio::sev
