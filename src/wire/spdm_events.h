#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"
#include "wire/spdm_measurements.h"

namespace teeio::wire {

/// Events and endpoint information, all since 1.3. GET_SUPPORTED_EVENT_TYPES and
/// the two ACKs are bare: spdm.h.

/// SUPPORTED_EVENT_TYPES.
struct SpdmSupportedEventTypes {
  static constexpr SpdmCode kCode = SpdmCode::kSupportedEventTypes;
  std::uint8_t version = kSpdmVersion13;
  std::uint8_t group_count = 0;
  ByteView groups{};  ///< SpdmEventGroups
  ByteView wire{};
  static Result<SpdmSupportedEventTypes> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// SUBSCRIBE_EVENT_TYPES. No groups: the subscription ends, and the message is a
/// header alone.
struct SpdmSubscribeEventTypes {
  static constexpr SpdmCode kCode = SpdmCode::kSubscribeEventTypes;
  std::uint8_t version = kSpdmVersion13;
  std::uint8_t group_count = 0;
  ByteView groups{};  ///< SpdmEventGroups
  ByteView wire{};
  static Result<SpdmSubscribeEventTypes> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// One group of event types. Source: libspdm unit_test/spdm_unit_test_common/event_support.c.
struct SpdmEventGroup {
  std::uint8_t registry = 0;  ///< 0 is DMTF
  ByteView vendor_id{};
  std::uint16_t group_version = 1;
  std::uint32_t attributes = 0;  ///< bit 0: every type of the group
  ByteView types{};              ///< four bytes each: type, reserved
  /// The first group of `groups`, which is shortened by it. Errors: EINVAL.
  static Result<SpdmEventGroup> take(ByteView& groups);
  void append_to(Writer& groups) const;
};

/// SEND_EVENT.
struct SpdmSendEvent {
  static constexpr SpdmCode kCode = SpdmCode::kSendEvent;
  std::uint8_t version = kSpdmVersion13;
  std::uint32_t count = 0;
  ByteView events{};  ///< SpdmEvents
  ByteView wire{};
  /// EINVAL also when the events do not fit.
  static Result<SpdmSendEvent> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// SpdmEventGroup::attributes: every type of the group.
inline constexpr std::uint32_t kSpdmAllEventTypes = 1U << 0U;

/// DMTF's event types.
enum class SpdmEventType : std::uint16_t {
  kEventLost = 1,             ///< u32 last acknowledged, u32 last lost: instances
  kMeasurementChanged = 2,    ///< 32 bytes, a bit an index
  kMeasurementPreUpdate = 3,  ///< the same
  kCertificateChanged = 4,    ///< a byte, a bit a slot
};
/// Bytes of the detail of an event of DMTF's; nullopt: there is no such type. Source: libspdm
/// library/spdm_common_lib/libspdm_com_event.c, libspdm_validate_dmtf_event_type().
[[nodiscard]] std::optional<std::size_t> spdm_event_detail_size(std::uint16_t type);
/// "MeasurementChanged"; empty: there is no such type.
[[nodiscard]] std::string_view spdm_event_name(std::uint16_t type);

/// One event.
struct SpdmEvent {
  std::uint32_t instance = 0;
  std::uint8_t registry = 0;
  ByteView vendor_id{};
  std::uint16_t type = 0;  ///< an SpdmEventType when registry is DMTF
  ByteView detail{};
  /// The first event of `events`, which is shortened by it. Errors: EINVAL.
  static Result<SpdmEvent> take(ByteView& events);
  void append_to(Writer& events) const;
};

/// GET_ENDPOINT_INFO.
struct SpdmGetEndpointInfo {
  static constexpr SpdmCode kCode = SpdmCode::kGetEndpointInfo;
  static constexpr std::uint8_t kDeviceClass = 1;  ///< the only subcode
  std::uint8_t version = kSpdmVersion13;
  std::uint8_t subcode = kDeviceClass;
  std::uint8_t slot = 0;  ///< 0–15
  bool sign = false;      ///< the nonce travels only then
  SpdmNonce nonce{};
  ByteView wire{};
  static Result<SpdmGetEndpointInfo> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// ENDPOINT_INFO.
struct SpdmEndpointInfo {
  static constexpr SpdmCode kCode = SpdmCode::kEndpointInfo;
  std::uint8_t version = kSpdmVersion13;
  std::uint8_t slot = 0;
  SpdmNonce nonce{};  ///< only with a signature
  ByteView info{};
  ByteView signature{};  ///< SpdmSizes::signature when one was asked for, else 0
  ByteView wire{};
  static Result<SpdmEndpointInfo> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
