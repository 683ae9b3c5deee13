#pragma once

#include <cstdint>

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

/// One group of event types. A guess: the layout is as remembered from DSP0274 1.3;
/// no public implementation was found to check it against.
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

/// DMTF's event types.
enum class SpdmEventType : std::uint16_t {
  kEventLost = 1,
  kMeasurementChanged = 2,
  kMeasurementPreUpdate = 3,
  kCertificateChanged = 4,
};
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
