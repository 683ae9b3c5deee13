#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"
#include "wire/spdm_algorithms.h"

namespace teeio::wire {

/// Flags of GET_CAPABILITIES and CAPABILITIES. Where both sides have a bit it
/// means the same. Source: DSP0274, tables "Flag fields definitions".
enum SpdmCap : std::uint32_t {
  kSpdmCapCache = 1U << 0U,  ///< responder
  kSpdmCapCert = 1U << 1U,
  kSpdmCapChal = 1U << 2U,
  kSpdmCapMeasNoSig = 1U << 3U,  ///< responder
  kSpdmCapMeasSig = 1U << 4U,    ///< responder; excludes the bit before
  kSpdmCapMeasFresh = 1U << 5U,  ///< responder
  kSpdmCapEncrypt = 1U << 6U,    ///< 1.1 from here
  kSpdmCapMac = 1U << 7U,
  kSpdmCapMutAuth = 1U << 8U,
  kSpdmCapKeyEx = 1U << 9U,
  kSpdmCapPsk = 1U << 10U,             ///< responder: without context
  kSpdmCapPskWithContext = 1U << 11U,  ///< responder
  kSpdmCapEncap = 1U << 12U,
  kSpdmCapHeartbeat = 1U << 13U,
  kSpdmCapKeyUpdate = 1U << 14U,
  kSpdmCapHandshakeInTheClear = 1U << 15U,
  kSpdmCapPubKeyId = 1U << 16U,
  kSpdmCapChunk = 1U << 17U,               ///< 1.2
  kSpdmCapAliasCert = 1U << 18U,           ///< 1.2, responder
  kSpdmCapSetCert = 1U << 19U,             ///< 1.2.1, responder
  kSpdmCapCsr = 1U << 20U,                 ///< 1.2.1, responder
  kSpdmCapCertInstallReset = 1U << 21U,    ///< 1.2.1, responder
  kSpdmCapEndpointInfoNoSig = 1U << 22U,   ///< 1.3
  kSpdmCapEndpointInfoSig = 1U << 23U,     ///< 1.3
  kSpdmCapMel = 1U << 24U,                 ///< 1.3, responder
  kSpdmCapEvent = 1U << 25U,               ///< 1.3
  kSpdmCapMultiKeyOnly = 1U << 26U,        ///< 1.3
  kSpdmCapMultiKeyNegotiated = 1U << 27U,  ///< 1.3
  kSpdmCapGetKeyPairInfo = 1U << 28U,      ///< 1.3, responder
  kSpdmCapSetKeyPairInfo = 1U << 29U,      ///< 1.3, responder
  kSpdmCapSetKeyPairReset = 1U << 30U,     ///< 1.4, responder
  kSpdmCapLargeResp = 1U << 31U,           ///< 1.4
};

/// CAPABILITIES' ExtFlags (1.4). Source: libspdm spdm.h,
/// SPDM_GET_CAPABILITIES_EXTENDED_RESPONSE_FLAGS_SLOT_MGMT_CAP.
enum SpdmExtendedCap : std::uint16_t { kSpdmExtendedCapSlotManagement = 1U << 0U };

/// The flags that version `version` defines; others are reserved and ignored.
[[nodiscard]] std::uint32_t spdm_requester_caps(std::uint8_t version);
[[nodiscard]] std::uint32_t spdm_responder_caps(std::uint8_t version);

/// The least DataTransferSize. Source: DSP0274 1.2, 10.4.
inline constexpr std::uint32_t kSpdmMinDataTransferSize = 42;  ///< bytes

/// GET_CAPABILITIES: a header alone in 1.0, with flags in 1.1, with sizes in 1.2.
struct SpdmGetCapabilities {
  static constexpr SpdmCode kCode = SpdmCode::kGetCapabilities;
  std::uint8_t version = kSpdmVersion12;
  bool want_algorithms = false;          ///< 1.3: param1, the supported algorithms block is wanted
  std::uint8_t ct_exponent = 0;          ///< cryptographic timeout is 2^n µs
  std::uint16_t extended_flags = 0;      ///< 1.4
  std::uint32_t flags = 0;               ///< of SpdmCap
  std::uint32_t data_transfer_size = 0;  ///< bytes, 1.2
  std::uint32_t max_spdm_message_size = 0;  ///< bytes, 1.2
  ByteView wire{};
  static Result<SpdmGetCapabilities> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// CAPABILITIES.
struct SpdmCapabilities {
  static constexpr SpdmCode kCode = SpdmCode::kCapabilities;
  std::uint8_t version = kSpdmVersion12;
  std::uint8_t ct_exponent = 0;
  std::uint16_t extended_flags = 0;         ///< 1.4
  std::uint32_t flags = 0;                  ///< of SpdmCap
  std::uint32_t data_transfer_size = 0;     ///< bytes, 1.2
  std::uint32_t max_spdm_message_size = 0;  ///< bytes, 1.2
  /// 1.3: the block that param1 bit 0 announces.
  std::optional<SpdmAlgorithmOffer> algorithms{};
  ByteView wire{};
  static Result<SpdmCapabilities> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
