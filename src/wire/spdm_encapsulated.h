#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// Requests of the responder, carried in answers (1.1). GET_ENCAPSULATED_REQUEST
/// is bare: spdm.h. An inner message ends where the transport's does, so over DOE
/// padding may follow it: decode it for its exact `wire`.

/// ENCAPSULATED_REQUEST.
struct SpdmEncapsulatedRequest {
  static constexpr SpdmCode kCode = SpdmCode::kEncapsulatedRequest;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t request_id = 0;
  ByteView request{};  ///< an SPDM message
  ByteView wire{};
  static Result<SpdmEncapsulatedRequest> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// DELIVER_ENCAPSULATED_RESPONSE.
struct SpdmDeliverEncapsulatedResponse {
  static constexpr SpdmCode kCode = SpdmCode::kDeliverEncapsulatedResponse;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t request_id = 0;
  ByteView response{};  ///< an SPDM message
  ByteView wire{};
  static Result<SpdmDeliverEncapsulatedResponse> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// What ENCAPSULATED_RESPONSE_ACK carries.
enum class SpdmEncapsulatedPayload : std::uint8_t {
  kAbsent = 0,         ///< the flow is over
  kPresent = 1,        ///< the next request
  kReqSlotNumber = 2,  ///< the flow is over; FINISH is to name this slot (one byte)
};

/// ENCAPSULATED_RESPONSE_ACK.
struct SpdmEncapsulatedResponseAck {
  static constexpr SpdmCode kCode = SpdmCode::kEncapsulatedResponseAck;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t request_id = 0;      ///< of the request inside
  std::uint8_t payload_type = 0;    ///< an SpdmEncapsulatedPayload
  std::uint8_t ack_request_id = 0;  ///< 1.2: of the response that this acknowledges
  ByteView payload{};
  ByteView wire{};
  static Result<SpdmEncapsulatedResponseAck> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
