#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "crypto/identity.h"
#include "spdm/credentials.h"

namespace teeio::serve {

/// A card's keys and certificates, another identity in each slot that is filled and for each type
/// of key, so that a requester may negotiate what it likes. Functions of seed and slot, made when
/// a request first needs them. Key pair: slot + 1.
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
  std::map<std::pair<std::uint8_t, crypto::KeyType>, Made> made_;
};

}  // namespace teeio::serve
