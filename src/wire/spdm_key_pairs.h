#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/spdm.h"

namespace teeio::wire {

/// GET_KEY_PAIR_INFO (1.3).
struct SpdmGetKeyPairInfo {
  static constexpr SpdmCode kCode = SpdmCode::kGetKeyPairInfo;
  std::uint8_t version = kSpdmVersion13;
  std::uint8_t key_pair = 1;
  ByteView wire{};
  static Result<SpdmGetKeyPairInfo> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

/// Bits of SpdmKeyPairInfo::capabilities.
enum SpdmKeyPairCap : std::uint16_t {
  kSpdmKeyPairGenerate = 1U << 0U,
  kSpdmKeyPairErasable = 1U << 1U,
  kSpdmKeyPairCertAssociation = 1U << 2U,
  kSpdmKeyPairKeyUsage = 1U << 3U,
  kSpdmKeyPairAsymAlgorithm = 1U << 4U,
  kSpdmKeyPairShareable = 1U << 5U,
};
/// Bits of its asym_capabilities: not those of BaseAsymAlgo.
enum SpdmKeyPairAsym : std::uint32_t {
  kSpdmKeyPairRsa2048 = 1U << 0U,
  kSpdmKeyPairRsa3072 = 1U << 1U,
  kSpdmKeyPairRsa4096 = 1U << 2U,
  kSpdmKeyPairEcc256 = 1U << 3U,
  kSpdmKeyPairEcc384 = 1U << 4U,
  kSpdmKeyPairEcc521 = 1U << 5U,
  kSpdmKeyPairSm2 = 1U << 6U,
  kSpdmKeyPairEd25519 = 1U << 7U,
  kSpdmKeyPairEd448 = 1U << 8U,
};

/// KEY_PAIR_INFO.
struct SpdmKeyPairInfo {
  static constexpr SpdmCode kCode = SpdmCode::kKeyPairInfo;
  std::uint8_t version = kSpdmVersion13;
  std::uint8_t total = 0;
  std::uint8_t key_pair = 1;
  std::uint16_t capabilities = 0;        ///< of SpdmKeyPairCap
  std::uint16_t usage_capabilities = 0;  ///< of SpdmKeyUsage
  std::uint16_t current_usage = 0;
  std::uint32_t asym_capabilities = 0;  ///< of SpdmKeyPairAsym
  std::uint32_t current_asym = 0;
  std::uint8_t slot_mask = 0;
  ByteView public_key_info{};   ///< DER AlgorithmIdentifier
  ByteView pqc_capabilities{};  ///< 1.4
  ByteView current_pqc{};       ///< 1.4
  ByteView wire{};
  static Result<SpdmKeyPairInfo> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

enum class SpdmKeyPairOperation : std::uint8_t { kChange = 0, kErase = 1, kGenerate = 2 };

/// SET_KEY_PAIR_INFO (1.3). The wishes travel only unless it erases. Its ACK is
/// bare: spdm.h.
struct SpdmSetKeyPairInfo {
  static constexpr SpdmCode kCode = SpdmCode::kSetKeyPairInfo;
  std::uint8_t version = kSpdmVersion13;
  std::uint8_t operation = 0;  ///< an SpdmKeyPairOperation
  std::uint8_t key_pair = 1;
  std::uint16_t usage = 0;
  std::uint32_t asym = 0;
  std::uint8_t slot_mask = 0;
  ByteView pqc{};  ///< 1.4
  ByteView wire{};
  static Result<SpdmSetKeyPairInfo> decode(ByteView in);
  [[nodiscard]] Bytes encode() const;
};

}  // namespace teeio::wire
