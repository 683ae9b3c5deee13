#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// Sessions, all since 1.1. A session's ID is the requester's half in 15:0 and
/// the responder's in 31:16.
[[nodiscard]] constexpr std::uint32_t spdm_session_id(std::uint16_t requester,
                                                      std::uint16_t responder) {
  return requester | static_cast<std::uint32_t>(responder) << 16U;
}

using SpdmRandom = std::array<std::byte, 32>;

/// Bits of SessionPolicy (1.2).
inline constexpr std::uint8_t kSpdmPolicyRuntimeUpdate = 1U << 0U;  ///< update ends no session
inline constexpr std::uint8_t kSpdmPolicyAllEvents = 1U << 1U;      ///< 1.3

/// KEY_EXCHANGE.
struct SpdmKeyExchange {
  static constexpr SpdmCode kCode = SpdmCode::kKeyExchange;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t summary = 0;      ///< an SpdmSummary
  std::uint8_t slot = 0;         ///< 0xff: the provisioned public key
  std::uint16_t session_id = 0;  ///< the requester's half
  std::uint8_t policy = 0;       ///< 1.2
  SpdmRandom random{};
  ByteView exchange{};  ///< SpdmSizes::exchange_request; a point is x then y, big-endian
  ByteView opaque{};
  ByteView wire{};
  static Result<SpdmKeyExchange> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// Values of KEY_EXCHANGE_RSP's MutAuthRequested.
inline constexpr std::uint8_t kSpdmMutAuth = 1U << 0U;              ///< chain known already
inline constexpr std::uint8_t kSpdmMutAuthEncapsulated = 1U << 1U;  ///< encapsulated flow follows
inline constexpr std::uint8_t kSpdmMutAuthGetDigests = 1U << 2U;    ///< the optimised flow

/// KEY_EXCHANGE_RSP.
struct SpdmKeyExchangeRsp {
  static constexpr SpdmCode kCode = SpdmCode::kKeyExchangeRsp;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t heartbeat_period = 0;  ///< seconds; 0: none
  std::uint16_t session_id = 0;       ///< the responder's half
  std::uint8_t mut_auth = 0;          ///< kSpdmMutAuth…
  std::uint8_t req_slot = 0;          ///< 0–15
  SpdmRandom random{};
  ByteView exchange{};      ///< SpdmSizes::exchange_response
  ByteView summary_hash{};  ///< SpdmSizes::summary_hash
  ByteView opaque{};
  ByteView signature{};    ///< SpdmSizes::signature
  ByteView verify_data{};  ///< SpdmSizes::verify_data: none when the handshake is in the clear
  ByteView wire{};
  static Result<SpdmKeyExchangeRsp> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// FINISH. Its signature is there when the header says so, with the requester's
/// algorithm: SpdmSizes::signature is that one.
struct SpdmFinish {
  static constexpr SpdmCode kCode = SpdmCode::kFinish;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t req_slot = 0;  ///< 0xff: the provisioned public key
  ByteView opaque{};          ///< 1.4
  ByteView signature{};       ///< not empty: the header's bit is set
  ByteView verify_data{};     ///< SpdmSizes::verify_data
  ByteView wire{};
  static Result<SpdmFinish> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// FINISH_RSP.
struct SpdmFinishRsp {
  static constexpr SpdmCode kCode = SpdmCode::kFinishRsp;
  std::uint8_t version = kSpdmVersion12;
  ByteView opaque{};       ///< 1.4
  ByteView verify_data{};  ///< SpdmSizes::verify_data: only when the handshake is in the clear
  ByteView wire{};
  static Result<SpdmFinishRsp> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// PSK_EXCHANGE.
struct SpdmPskExchange {
  static constexpr SpdmCode kCode = SpdmCode::kPskExchange;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t summary = 0;      ///< an SpdmSummary
  std::uint8_t policy = 0;       ///< 1.2
  std::uint16_t session_id = 0;  ///< the requester's half
  ByteView hint{};
  ByteView context{};
  ByteView opaque{};
  ByteView wire{};
  static Result<SpdmPskExchange> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// PSK_EXCHANGE_RSP.
struct SpdmPskExchangeRsp {
  static constexpr SpdmCode kCode = SpdmCode::kPskExchangeRsp;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t heartbeat_period = 0;  ///< seconds
  std::uint16_t session_id = 0;       ///< the responder's half
  ByteView summary_hash{};            ///< SpdmSizes::summary_hash
  ByteView context{};
  ByteView opaque{};
  ByteView verify_data{};  ///< SpdmSizes::verify_data
  ByteView wire{};
  static Result<SpdmPskExchangeRsp> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// PSK_FINISH.
struct SpdmPskFinish {
  static constexpr SpdmCode kCode = SpdmCode::kPskFinish;
  std::uint8_t version = kSpdmVersion12;
  ByteView opaque{};       ///< 1.4
  ByteView verify_data{};  ///< SpdmSizes::verify_data
  ByteView wire{};
  static Result<SpdmPskFinish> decode(ByteView in, const SpdmSizes& sizes);
  [[nodiscard]] Bytes encode() const;
};

/// PSK_FINISH_RSP.
struct SpdmPskFinishRsp {
  static constexpr SpdmCode kCode = SpdmCode::kPskFinishRsp;
  std::uint8_t version = kSpdmVersion12;
  ByteView opaque{};  ///< 1.4
  ByteView wire{};
  static Result<SpdmPskFinishRsp> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

enum class SpdmKeyOperation : std::uint8_t {
  kUpdateKey = 1,  ///< the request direction's
  kUpdateAllKeys = 2,
  kVerifyNewKey = 3,
};
/// KEY_UPDATE and KEY_UPDATE_ACK have one layout.
template <SpdmCode Code>
struct SpdmKeyUpdateMessage {
  static constexpr SpdmCode kCode = Code;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t operation = 0;  ///< an SpdmKeyOperation, or what the peer sent
  std::uint8_t tag = 0;
  ByteView wire{};
  static Result<SpdmKeyUpdateMessage> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};
using SpdmKeyUpdate = SpdmKeyUpdateMessage<SpdmCode::kKeyUpdate>;
using SpdmKeyUpdateAck = SpdmKeyUpdateMessage<SpdmCode::kKeyUpdateAck>;

/// END_SESSION. HEARTBEAT and the ACKs are bare: spdm.h.
struct SpdmEndSession {
  static constexpr SpdmCode kCode = SpdmCode::kEndSession;
  std::uint8_t version = kSpdmVersion12;
  bool clear_negotiated_state = false;  ///< of a responder that caches it
  ByteView wire{};
  static Result<SpdmEndSession> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
