#include "firmware/sev/tio_operands.h"

#include <algorithm>

namespace teeio::sev {
namespace {

using enum TioField;

struct Layout {
  TioCommand command;
  std::span<const TioField> fields;
};

// struct sev_data_tio_*: all behind their length.
constexpr TioField kStatusLayout[] = {kReserved4, kStatusPage};
constexpr TioField kInitLayout[] = {kReserved12};
constexpr TioField kDevCreateLayout[] = {kReserved4,  kDevice,  kDeviceId,
                                         kRootPortId, kSegment, kReserved11};
constexpr TioField kContextLayout[] = {kReserved4, kDevice};
constexpr TioField kDevConnectLayout[] = {kReserved4, kSpdm,      kReserved8,
                                          kDevice,    kTcMask,    kCertificateSlot,
                                          kReserved6, kStreamIds, kReserved8};
constexpr TioField kDevDisconnectLayout[] = {kFlags, kSpdm, kDevice};
constexpr TioField kDevStatusLayout[] = {kReserved4, kDevice, kStatusPage, kReserved8};
constexpr TioField kDevMeasurementsLayout[] = {kFlags, kSpdm, kDevice, kNonce};
constexpr TioField kSpdmDeviceLayout[] = {kReserved4, kSpdm, kDevice};
constexpr TioField kTdiCreateLayout[] = {kReserved4, kDevice, kTdi, kInterfaceId, kReserved12};
constexpr TioField kTdiReclaimLayout[] = {kReserved4, kDevice, kTdi, kReserved8};
constexpr TioField kTdiBindLayout[] = {kReserved4,     kSpdm,      kDevice,   kTdi,       kGuest,
                                       kGuestDeviceId, kLockFlags, kRunFlags, kReserved10};
constexpr TioField kTdiUnbindLayout[] = {kFlags, kSpdm, kDevice, kTdi, kGuest};
constexpr TioField kTdiReportLayout[] = {kReserved4, kSpdm, kDevice, kTdi, kGuest};
constexpr TioField kTdiStatusLayout[] = {kReserved4, kSpdm, kDevice, kTdi, kStatusPage};
constexpr TioField kGuestRequestLayout[] = {kReserved4, kSpdm,        kDevice,      kTdi,
                                            kGuest,     kRequestPage, kResponsePage};
constexpr TioField kFenceClearLayout[] = {kReserved4, kDevice, kGuest, kReserved8};
constexpr TioField kFenceStatusLayout[] = {kReserved4, kDevice, kAsid, kStatusPage, kReserved4};
constexpr TioField kTdiInfoLayout[] = {kReserved4, kDevice, kTdi, kStatusPage, kReserved16};

constexpr Layout kLayouts[] = {
    {TioCommand::kStatus, kStatusLayout},
    {TioCommand::kInit, kInitLayout},
    {TioCommand::kDevCreate, kDevCreateLayout},
    {TioCommand::kDevReclaim, kContextLayout},
    {TioCommand::kDevConnect, kDevConnectLayout},
    {TioCommand::kDevDisconnect, kDevDisconnectLayout},
    {TioCommand::kDevStatus, kDevStatusLayout},
    {TioCommand::kDevMeasurements, kDevMeasurementsLayout},
    {TioCommand::kDevCertificates, kSpdmDeviceLayout},
    {TioCommand::kTdiCreate, kTdiCreateLayout},
    {TioCommand::kTdiReclaim, kTdiReclaimLayout},
    {TioCommand::kTdiBind, kTdiBindLayout},
    {TioCommand::kTdiUnbind, kTdiUnbindLayout},
    {TioCommand::kTdiReport, kTdiReportLayout},
    {TioCommand::kTdiStatus, kTdiStatusLayout},
    {TioCommand::kGuestRequest, kGuestRequestLayout},
    {TioCommand::kAsidFenceClear, kFenceClearLayout},
    {TioCommand::kAsidFenceStatus, kFenceStatusLayout},
    {TioCommand::kTdiInfo, kTdiInfoLayout},
    {TioCommand::kRollKey, kSpdmDeviceLayout},
};

Sla sla(Reader& in) { return {in.le<std::uint64_t>()}; }

void take(TioField field, Reader& in, TioOperands& to) {
  switch (field) {
    case kReserved4:
    case kReserved6:
    case kReserved8:
    case kReserved10:
    case kReserved11:
    case kReserved12:
    case kReserved16: {
      const ByteView bytes = in.take(field_size(field));
      to.reserved_zero &=
          std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
      return;
    }
    case kFlags:
      to.flags = in.le<std::uint32_t>();
      return;
    case kSpdm:
      to.spdm = {sla(in), sla(in), sla(in), sla(in)};
      return;
    case kDevice:
      to.device = sla(in);
      return;
    case kTdi:
      to.tdi = sla(in);
      return;
    case kGuest:
      to.guest = Hpa{in.le<std::uint64_t>()};
      return;
    case kStatusPage:
      to.status_page = Hpa{in.le<std::uint64_t>()};
      return;
    case kRequestPage:
      to.request_page = Hpa{in.le<std::uint64_t>()};
      return;
    case kResponsePage:
      to.response_page = Hpa{in.le<std::uint64_t>()};
      return;
    case kDeviceId:
      to.device_id = in.le<std::uint16_t>();
      return;
    case kRootPortId:
      to.root_port_id = in.le<std::uint16_t>();
      return;
    case kSegment:
      to.segment = in.le<std::uint8_t>();
      return;
    case kTcMask:
      to.tc_mask = in.le<std::uint8_t>();
      return;
    case kCertificateSlot:
      to.certificate_slot = in.le<std::uint8_t>();
      return;
    case kStreamIds:
      for (std::uint8_t& id : to.stream_ids) id = in.le<std::uint8_t>();
      return;
    case kNonce:
      std::ranges::copy(in.take(to.nonce.size()), to.nonce.begin());
      return;
    case kInterfaceId:
      to.function_id = in.le<std::uint32_t>();
      to.reserved_zero &= in.le<std::uint64_t>() == 0;
      return;
    case kGuestDeviceId:
      to.guest_device_id = in.le<std::uint16_t>();
      return;
    case kLockFlags:
      to.lock_flags = in.le<std::uint16_t>();
      return;
    case kRunFlags:
      to.run_flags = in.le<std::uint16_t>();
      return;
    case kAsid:
      to.asid = in.le<std::uint32_t>();
      return;
  }
}

void put(TioField field, Writer& out, const TioOperands& from) {
  switch (field) {
    case kReserved4:
    case kReserved6:
    case kReserved8:
    case kReserved10:
    case kReserved11:
    case kReserved12:
    case kReserved16:
      out.zeros(field_size(field));
      return;
    case kFlags:
      out.le(from.flags);
      return;
    case kSpdm:
      out.le(from.spdm.request.value).le(from.spdm.response.value);
      out.le(from.spdm.scratch.value).le(from.spdm.output.value);
      return;
    case kDevice:
      out.le(from.device.value);
      return;
    case kTdi:
      out.le(from.tdi.value);
      return;
    case kGuest:
      out.le(raw(from.guest));
      return;
    case kStatusPage:
      out.le(raw(from.status_page));
      return;
    case kRequestPage:
      out.le(raw(from.request_page));
      return;
    case kResponsePage:
      out.le(raw(from.response_page));
      return;
    case kDeviceId:
      out.le(from.device_id);
      return;
    case kRootPortId:
      out.le(from.root_port_id);
      return;
    case kSegment:
      out.le(from.segment);
      return;
    case kTcMask:
      out.le(from.tc_mask);
      return;
    case kCertificateSlot:
      out.le(from.certificate_slot);
      return;
    case kStreamIds:
      for (const std::uint8_t id : from.stream_ids) out.le(id);
      return;
    case kNonce:
      out.bytes(from.nonce);
      return;
    case kInterfaceId:
      out.le(from.function_id).zeros(8);
      return;
    case kGuestDeviceId:
      out.le(from.guest_device_id);
      return;
    case kLockFlags:
      out.le(from.lock_flags);
      return;
    case kRunFlags:
      out.le(from.run_flags);
      return;
    case kAsid:
      out.le(from.asid);
      return;
  }
}

}  // namespace

std::size_t field_size(TioField field) {
  switch (field) {
    case kSegment:
    case kTcMask:
    case kCertificateSlot:
      return 1;
    case kDeviceId:
    case kRootPortId:
    case kGuestDeviceId:
    case kLockFlags:
    case kRunFlags:
      return 2;
    case kReserved4:
    case kFlags:
    case kAsid:
      return 4;
    case kReserved6:
      return 6;
    case kReserved8:
    case kDevice:
    case kTdi:
    case kGuest:
    case kStatusPage:
    case kRequestPage:
    case kResponsePage:
    case kStreamIds:
      return 8;
    case kReserved10:
      return 10;
    case kReserved11:
      return 11;
    case kReserved12:
    case kInterfaceId:
      return 12;
    case kReserved16:
      return 16;
    case kSpdm:
    case kNonce:
      return 32;
  }
  return 0;
}

TioOperands TioOperands::decode(std::span<const TioField> layout, Reader in) {
  TioOperands operands;
  for (const TioField field : layout) take(field, in, operands);
  return operands;
}

Bytes TioOperands::encode(std::span<const TioField> layout) const {
  Writer fields;
  for (const TioField field : layout) put(field, fields, *this);
  const Bytes body = fields.take();
  return Writer()
      .le(static_cast<std::uint32_t>(body.size() + sizeof(std::uint32_t)))
      .bytes(body)
      .take();
}

std::span<const TioField> tio_layout(TioCommand command) {
  const auto found = std::ranges::find(kLayouts, command, &Layout::command);
  return found == std::end(kLayouts) ? std::span<const TioField>{} : found->fields;
}

std::uint32_t tio_length(TioCommand command) {
  std::size_t length = sizeof(std::uint32_t);
  for (const TioField field : tio_layout(command)) length += field_size(field);
  return static_cast<std::uint32_t>(length);
}

Bytes TioStatus::encode() const {
  Writer out;
  out.le(static_cast<std::uint32_t>(kSize)).le(flags);
  for (const std::uint32_t max : {request_max, scratch_max, output_max, request_max})
    out.le(static_cast<std::uint32_t>(kPageSize)).le(max);
  return out.le(device_context).le(tdi_context).zeros(16).take();
}

Result<TioStatus> TioStatus::decode(ByteView in) {
  constexpr std::uint32_t kLeast = 48;  // offsetofend(struct sev_tio_status, tdictx_size)
  Reader reader(in);
  const auto length = reader.le<std::uint32_t>();
  TioStatus status;
  status.flags = reader.le<std::uint32_t>();
  for (std::uint32_t* max : {&status.request_max, &status.scratch_max, &status.output_max}) {
    reader.skip(sizeof(std::uint32_t));
    *max = reader.le<std::uint32_t>();
  }
  reader.skip(2 * sizeof(std::uint32_t));
  status.device_context = reader.le<std::uint32_t>();
  status.tdi_context = reader.le<std::uint32_t>();
  if (!reader.ok() || length < kLeast || (status.flags & ~(kEnabled | kInitDone)) != 0)
    return fail(Errno::kFault, "the firmware's TIO status is short or has reserved bits");
  return status;
}

}  // namespace teeio::sev
