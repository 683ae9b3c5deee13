#include "spdm/settings.h"

#include "spdm/suite.h"
#include "wire/spdm_algorithms.h"
#include "wire/spdm_capabilities.h"

namespace teeio::spdm {
namespace {

using wire::SpdmAead;
using wire::SpdmAsym;
using wire::SpdmDhe;
using wire::SpdmHash;
using wire::SpdmMeasurementHash;

template <class Bit>
constexpr auto bits(Bit bit) {
  return std::to_underlying(bit);
}

}  // namespace

Algorithms Algorithms::all() {
  return {.base_asym = kAllSignatures,
          .base_hash = kAllHashes,
          .measurement_hash = kAllMeasurementHashes,
          .dhe = kAllGroups,
          .aead = kAllAeads,
          .req_base_asym = static_cast<std::uint16_t>(kAllSignatures),
          .other_params = wire::kSpdmOpaqueFormat1 | wire::kSpdmMultiKeyConn};
}

Algorithms Algorithms::with_post_quantum() const {
  Algorithms more = *this;
  more.pqc_asym = available_pqc_signatures();
  more.req_pqc_asym = static_cast<std::uint16_t>(more.pqc_asym);
  more.kem = available_kems();
  return more;
}

Algorithms Algorithms::cnsa() {
  return {.base_asym = bits(SpdmAsym::kEcdsaP384),
          .base_hash = bits(SpdmHash::kSha384),
          .measurement_hash = bits(SpdmMeasurementHash::kSha384),
          .dhe = bits(SpdmDhe::kSecp384r1),
          .aead = bits(SpdmAead::kAes256Gcm),
          .req_base_asym = static_cast<std::uint16_t>(SpdmAsym::kEcdsaP384),
          .other_params = wire::kSpdmOpaqueFormat1};
}

Algorithms Algorithms::p256() {
  return {.base_asym = bits(SpdmAsym::kEcdsaP256),
          .base_hash = bits(SpdmHash::kSha256),
          .measurement_hash = bits(SpdmMeasurementHash::kSha256),
          .dhe = bits(SpdmDhe::kSecp256r1),
          .aead = bits(SpdmAead::kAes128Gcm),
          .req_base_asym = static_cast<std::uint16_t>(SpdmAsym::kEcdsaP256),
          .other_params = wire::kSpdmOpaqueFormat1};
}

std::vector<std::uint8_t> all_versions() {
  return {wire::kSpdmVersion10, wire::kSpdmVersion11, wire::kSpdmVersion12, wire::kSpdmVersion13,
          wire::kSpdmVersion14};
}

std::uint32_t default_requester_flags() {
  // Not ENCAP_CAP: DMTF's responder wants mutual authentication of whoever has it.
  using namespace wire;
  return kSpdmCapEncrypt | kSpdmCapMac | kSpdmCapKeyEx | kSpdmCapPsk | kSpdmCapHeartbeat |
         kSpdmCapKeyUpdate | kSpdmCapChunk | kSpdmCapLargeResp;
}

std::uint32_t default_responder_flags() {
  using namespace wire;
  return default_requester_flags() | kSpdmCapEncap | kSpdmCapMutAuth | kSpdmCapCert | kSpdmCapChal |
         kSpdmCapMeasSig | kSpdmCapMeasFresh | kSpdmCapMel;
}

}  // namespace teeio::spdm
