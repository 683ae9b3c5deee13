#include "spdm/capability_rules.h"

#include <array>
#include <bit>
#include <span>
#include <utility>

#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::spdm {
namespace {

using namespace wire;

bool has(std::uint32_t flags, std::uint32_t any_of) { return (flags & any_of) != 0; }
/// Both bits of a two-bit field: a reserved value everywhere.
bool both(std::uint32_t flags, std::uint32_t low, std::uint32_t high) {
  return has(flags, low) && has(flags, high);
}

template <class... Bit>
constexpr std::array<std::uint32_t, sizeof...(Bit)> bits(Bit... bit) {
  return {static_cast<std::uint32_t>(std::to_underlying(bit))...};
}
constexpr auto kHashes = bits(SpdmHash::kSha384, SpdmHash::kSha256);
constexpr auto kMeasurementHashes =
    bits(SpdmMeasurementHash::kSha384, SpdmMeasurementHash::kSha256);
constexpr auto kSignatures =
    bits(SpdmAsym::kEcdsaP384, SpdmAsym::kEcdsaP256, SpdmAsym::kRsaSsa3072);
constexpr auto kGroups = bits(SpdmDhe::kSecp384r1, SpdmDhe::kSecp256r1);
constexpr std::array<std::uint32_t, 3> kPqcSignatures = {4, 2, 1};
constexpr auto kAeads = bits(SpdmAead::kAes256Gcm);

std::span<const std::uint32_t> preferred(Choice what) {
  switch (what) {
    case Choice::kBaseHash:
      return kHashes;
    case Choice::kMeasurementHash:
      return kMeasurementHashes;
    case Choice::kAsym:
      return kSignatures;
    case Choice::kGroup:
      return kGroups;
    case Choice::kAead:
      return kAeads;
    case Choice::kPqcAsym:
      return kPqcSignatures;
    case Choice::kOther:
      return {};
  }
  std::unreachable();
}

constexpr std::uint32_t kProtection = kSpdmCapEncrypt | kSpdmCapMac;
constexpr std::uint32_t kAnyPsk = kSpdmCapPsk | kSpdmCapPskWithContext;

/// What both tables say of sessions (1.1).
bool session_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (has(flags, kSpdmCapKeyEx | kAnyPsk)) {
    if (!has(flags, kProtection)) return false;
  } else {
    std::uint32_t needs_session =
        kProtection | kSpdmCapHandshakeInTheClear | kSpdmCapHeartbeat | kSpdmCapKeyUpdate;
    if (version >= kSpdmVersion13) needs_session |= kSpdmCapEvent;
    if (has(flags, needs_session)) return false;
  }
  // A PSK's handshake cannot be in the clear.
  return has(flags, kSpdmCapKeyEx) || !has(flags, kSpdmCapHandshakeInTheClear);
}

/// What both tables say of keys.
bool key_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (both(flags, kSpdmCapCert, kSpdmCapPubKeyId)) return false;
  if (version < kSpdmVersion13) return true;
  if (both(flags, kSpdmCapEndpointInfoNoSig, kSpdmCapEndpointInfoSig)) return false;
  if (both(flags, kSpdmCapMultiKeyOnly, kSpdmCapMultiKeyNegotiated)) return false;
  const bool multi_key = has(flags, kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated);
  return !multi_key || has(flags, kSpdmCapCert);
}

}  // namespace

bool requester_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (version < kSpdmVersion11) return true;
  if (has(flags, kSpdmCapPskWithContext)) return false;  // the requester's field has one value
  if (!session_flags_agree(flags, version) || !key_flags_agree(flags, version)) return false;
  const bool signed_info = version >= kSpdmVersion13 && has(flags, kSpdmCapEndpointInfoSig);
  const bool uses_key = has(flags, kSpdmCapChal | kSpdmCapKeyEx) || signed_info;
  if (has(flags, kSpdmCapCert | kSpdmCapPubKeyId)) {
    if (!uses_key) return false;
  } else if (has(flags, kSpdmCapChal | kSpdmCapMutAuth) || signed_info) {
    return false;
  }
  if (has(flags, kSpdmCapMutAuth)) {
    if (!has(flags, kSpdmCapKeyEx | kSpdmCapChal)) return false;
    if (version == kSpdmVersion11 && !has(flags, kSpdmCapEncap)) return false;
  }
  return true;
}

bool responder_flags_agree(std::uint32_t flags, std::uint8_t version) {
  if (both(flags, kSpdmCapMeasNoSig, kSpdmCapMeasSig)) return false;
  if (has(flags, kSpdmCapMeasFresh) && !has(flags, kSpdmCapMeasNoSig | kSpdmCapMeasSig))
    return false;
  if (version < kSpdmVersion11) return true;
  if (both(flags, kSpdmCapPsk, kSpdmCapPskWithContext)) return false;
  if (!session_flags_agree(flags, version) || !key_flags_agree(flags, version)) return false;
  const bool has_key = has(flags, kSpdmCapCert | kSpdmCapPubKeyId);
  if (!has_key && has(flags, kSpdmCapChal | kSpdmCapKeyEx | kSpdmCapMeasSig | kSpdmCapMutAuth))
    return false;
  if (version >= kSpdmVersion12) {
    if (has(flags, kSpdmCapAliasCert | kSpdmCapSetCert | kSpdmCapCsr) && !has(flags, kSpdmCapCert))
      return false;
    if (has(flags, kSpdmCapCertInstallReset) && !has(flags, kSpdmCapSetCert | kSpdmCapCsr))
      return false;
  }
  // These by libspdm's validate_responder_capability() (libspdm_req_get_capabilities.c).
  if (version >= kSpdmVersion12 && has(flags, kSpdmCapCsr) && !has(flags, kSpdmCapSetCert))
    return false;
  if (version >= kSpdmVersion13 && has(flags, kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated) &&
      !has(flags, kSpdmCapGetKeyPairInfo))
    return false;
  if (version >= kSpdmVersion14 && has(flags, kSpdmCapSetKeyPairReset) &&
      !has(flags, kSpdmCapSetKeyPairInfo))
    return false;
  return true;
}

bool sizes_agree(std::uint32_t data_transfer_size, std::uint32_t max_message_size,
                 std::uint32_t flags) {
  if (data_transfer_size < kSpdmMinDataTransferSize) return false;
  if (data_transfer_size > max_message_size) return false;
  return has(flags, kSpdmCapChunk) || data_transfer_size == max_message_size;
}

std::uint32_t offered_max_message_size(const Settings& settings, std::uint32_t flags) {
  return has(flags, kSpdmCapChunk) ? settings.max_message_size : settings.data_transfer_size;
}

std::uint16_t signatures_of_version(std::uint8_t version) {
  return version < kSpdmVersion12 ? 0x1ff : 0xfff;
}

std::uint32_t session_flags() {
  return kProtection | kAnyPsk | kSpdmCapKeyEx | kSpdmCapHeartbeat | kSpdmCapKeyUpdate |
         kSpdmCapHandshakeInTheClear | kSpdmCapEvent;
}

std::uint32_t choose_bit(Choice what, std::uint32_t common) {
  for (const std::uint32_t bit : preferred(what))
    if ((common & bit) != 0) return bit;
  return std::bit_floor(common);
}

AlgorithmUse algorithm_use(std::uint32_t responder_flags, std::uint32_t requester_flags) {
  const auto both_have = [&](std::uint32_t flag) {
    return has(responder_flags, flag) && has(requester_flags, flag);
  };
  const bool key_exchange = both_have(kSpdmCapKeyEx);
  const bool psk = has(responder_flags, kAnyPsk) && has(requester_flags, kSpdmCapPsk);
  const bool session = key_exchange || psk;
  // Whether this end will ask for it, and whether it could, as without ENCAP_CAP it cannot: a
  // requester of libspdm's that signs it takes no ALGORITHMS without the algorithm for that
  // (libspdm_req_negotiate_algorithms.c since its pull request 3653).
  const bool signed_info = has(requester_flags, kSpdmCapEndpointInfoSig);
  const bool signs = has(responder_flags, kSpdmCapCert | kSpdmCapPubKeyId | kSpdmCapChal |
                                              kSpdmCapMeasSig | kSpdmCapEndpointInfoSig) ||
                     key_exchange;
  return {.base_hash = signs || session,
          .base_asym = signs,
          .dhe = key_exchange,
          .aead = session && (both_have(kSpdmCapEncrypt) || both_have(kSpdmCapMac)),
          .req_base_asym = both_have(kSpdmCapMutAuth) || signed_info,
          .key_schedule = session};
}

}  // namespace teeio::spdm
