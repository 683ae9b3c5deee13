#pragma once

#include <cstdint>
#include <map>

#include "crypto/identity.h"
#include "spdm/credentials.h"

namespace teeio::serve {

/// A card's keys and certificates, the same in each slot that is filled, one identity for each type
/// of key, so that a requester may negotiate what it likes. Functions of the seed, made when a
/// request first needs them.
///
/// Lifetime: outlives the responder that asks. Locking: none.
class Identities final : public spdm::Credentials {
 public:
  explicit Identities(std::uint64_t seed, std::uint8_t slots = 1) : seed_(seed), slots_(slots) {}
  [[nodiscard]] const spdm::Credential* credential(std::uint8_t slot,
                                                   crypto::SignatureAlgorithm algorithm,
                                                   crypto::HashAlgorithm hash) override;

 private:
  struct Made {
    crypto::Pki pki;
    spdm::Credential credential;
  };
  const std::uint64_t seed_;
  const std::uint8_t slots_;
  std::map<crypto::KeyType, Made> made_;
};

}  // namespace teeio::serve
