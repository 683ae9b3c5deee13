#pragma once

#include <cstdint>
#include <utility>

#include "crypto/identity.h"
#include "spdm/requester.h"
#include "wire/spdm_algorithms.h"

namespace teeio::serve::validate {

// What ReqBaseAsymAlg offers of the keys that the judge has.
inline constexpr auto kOwnEcdsa =
    static_cast<std::uint16_t>(std::to_underlying(wire::SpdmAsym::kEcdsaP256) |
                               std::to_underlying(wire::SpdmAsym::kEcdsaP384));
inline constexpr auto kOwnRsa =
    static_cast<std::uint16_t>(std::to_underlying(wire::SpdmAsym::kRsaSsa2048) |
                               std::to_underlying(wire::SpdmAsym::kRsaPss2048) |
                               std::to_underlying(wire::SpdmAsym::kRsaSsa3072) |
                               std::to_underlying(wire::SpdmAsym::kRsaPss3072));

/// Lets the requester authenticate itself, with one of those keys.
void authenticate(spdm::RequesterConfig& config, std::uint16_t req_base_asym);

/// A key of which responders were given the public half, and no certificates.
///
/// Lifetime: outlives the requesters that were given it.
class GivenKey final : public spdm::Credentials {
 public:
  explicit GivenKey(crypto::PrivateKey key);
  [[nodiscard]] const spdm::Credential* credential(std::uint8_t slot,
                                                   crypto::SignatureAlgorithm algorithm,
                                                   crypto::HashAlgorithm hash) override;
  /// The algorithms by which it signs.
  [[nodiscard]] std::uint16_t req_base_asym() const;

 private:
  const crypto::Identity identity_;  ///< nobody asks for its chain
  const spdm::Credential credential_{.identity = &identity_};
};
/// Lets the requester authenticate itself with it.
void authenticate(spdm::RequesterConfig& config, GivenKey& key);

}  // namespace teeio::serve::validate
