#include "wire/spdm_events.h"

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr unsigned kEventSlotMask = 0x0f;
constexpr unsigned kSign = 1;  ///< GET_ENDPOINT_INFO's attributes

void write_vendor(Writer& w, std::uint8_t registry, ByteView vendor_id) {
  TEEIO_CHECK(vendor_id.size() <= 0xff, "vendor ID has one byte for its length");
  w.le(registry).le(static_cast<std::uint8_t>(vendor_id.size())).bytes(vendor_id);
}

std::uint32_t size32(ByteView bytes) {
  TEEIO_CHECK(bytes.size() <= 0xffffffff, "the field has four bytes for its length");
  return static_cast<std::uint32_t>(bytes.size());
}

}  // namespace

std::optional<std::size_t> spdm_event_detail_size(std::uint16_t type) {
  switch (SpdmEventType{type}) {
    case SpdmEventType::kEventLost:
      return 8;
    case SpdmEventType::kMeasurementChanged:
    case SpdmEventType::kMeasurementPreUpdate:
      return 32;
    case SpdmEventType::kCertificateChanged:
      return 1;
  }
  return std::nullopt;
}

std::string_view spdm_event_name(std::uint16_t type) {
  switch (SpdmEventType{type}) {
    case SpdmEventType::kEventLost:
      return "EventLost";
    case SpdmEventType::kMeasurementChanged:
      return "MeasurementChanged";
    case SpdmEventType::kMeasurementPreUpdate:
      return "MeasurementPreUpdate";
    case SpdmEventType::kCertificateChanged:
      return "CertificateChanged";
  }
  return {};
}

Result<SpdmSupportedEventTypes> SpdmSupportedEventTypes::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmSupportedEventTypes m;
  m.version = r.version();
  m.group_count = r.param1();
  m.groups = r.take(r.u32());
  return r.finish(m);
}

Bytes SpdmSupportedEventTypes::encode() const {
  return begin_spdm(version, kCode, group_count).le(size32(groups)).bytes(groups).take();
}

Result<SpdmSubscribeEventTypes> SpdmSubscribeEventTypes::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmSubscribeEventTypes m;
  m.version = r.version();
  m.group_count = r.param1();
  if (m.group_count != 0) m.groups = r.take(r.u32());
  return r.finish(m);
}

Bytes SpdmSubscribeEventTypes::encode() const {
  Writer w = begin_spdm(version, kCode, group_count);
  if (group_count != 0) w.le(size32(groups)).bytes(groups);
  return w.take();
}

Result<SpdmEventGroup> SpdmEventGroup::take(ByteView& groups) {
  Reader r(groups);
  SpdmEventGroup group;
  group.registry = r.le<std::uint8_t>();
  group.vendor_id = r.take(r.le<std::uint8_t>());
  const std::size_t types = r.le<std::uint16_t>();
  group.group_version = r.le<std::uint16_t>();
  group.attributes = r.le<std::uint32_t>();
  group.types = r.take(4 * types);
  if (!r.ok()) return fail(Errno::kInval, "event group leaves its list");
  groups = r.rest();
  return group;
}

void SpdmEventGroup::append_to(Writer& groups) const {
  TEEIO_CHECK(types.size() % 4 == 0 && types.size() / 4 <= 0xffff, "event types have four bytes");
  write_vendor(groups, registry, vendor_id);
  groups.le(static_cast<std::uint16_t>(types.size() / 4)).le(group_version).le(attributes);
  groups.bytes(types);
}

Result<SpdmSendEvent> SpdmSendEvent::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmSendEvent m;
  m.version = r.version();
  m.count = r.u32();
  if (!r.ok()) return r.finish(m);
  const ByteView all = in.subspan(r.offset());
  ByteView rest = all;
  // Each event has at least a dozen bytes, so a wild count ends with the input.
  for (std::uint32_t i = 0; i < m.count; ++i) {
    const auto event = SpdmEvent::take(rest);
    if (!event) return std::unexpected(event.error());
  }
  m.events = r.take(all.size() - rest.size());
  return r.finish(m);
}

Bytes SpdmSendEvent::encode() const {
  return begin_spdm(version, kCode).le(count).bytes(events).take();
}

Result<SpdmEvent> SpdmEvent::take(ByteView& events) {
  Reader r(events);
  SpdmEvent event;
  event.instance = r.le<std::uint32_t>();
  r.skip(4);
  event.registry = r.le<std::uint8_t>();
  event.vendor_id = r.take(r.le<std::uint8_t>());
  event.type = r.le<std::uint16_t>();
  event.detail = r.take(r.le<std::uint16_t>());
  if (!r.ok()) return fail(Errno::kInval, "event leaves its list");
  events = r.rest();
  return event;
}

void SpdmEvent::append_to(Writer& events) const {
  TEEIO_CHECK(detail.size() <= 0xffff, "event detail has two bytes for its length");
  events.le(instance).zeros(4);
  write_vendor(events, registry, vendor_id);
  events.le(type).le(static_cast<std::uint16_t>(detail.size())).bytes(detail);
}

Result<SpdmGetEndpointInfo> SpdmGetEndpointInfo::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmGetEndpointInfo m;
  m.version = r.version();
  m.subcode = r.param1();
  m.slot = r.param2() & kEventSlotMask;
  m.sign = (r.u8() & kSign) != 0;
  r.skip(3);
  if (m.sign) m.nonce = r.array<32>();
  return r.finish(m);
}

Bytes SpdmGetEndpointInfo::encode() const {
  Writer w = begin_spdm(version, kCode, subcode, slot & kEventSlotMask);
  w.le(static_cast<std::uint8_t>(sign ? kSign : 0U)).zeros(3);
  if (sign) w.bytes(nonce);
  return w.take();
}

Result<SpdmEndpointInfo> SpdmEndpointInfo::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmEndpointInfo m;
  m.version = r.version();
  m.slot = r.param2() & kEventSlotMask;
  r.skip(4);
  if (sizes.signature != 0) m.nonce = r.array<32>();
  m.info = r.take(r.u32());
  m.signature = r.take(sizes.signature);
  return r.finish(m);
}

Bytes SpdmEndpointInfo::encode() const {
  Writer w = begin_spdm(version, kCode, 0, slot & kEventSlotMask);
  w.zeros(4);
  if (!signature.empty()) w.bytes(nonce);
  return w.le(size32(info)).bytes(info).bytes(signature).take();
}

}  // namespace teeio::wire
