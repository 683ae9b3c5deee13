#include "spdm/credentials.h"

namespace teeio::spdm {

const Credential* FixedCredentials::credential(std::uint8_t slot,
                                               crypto::SignatureAlgorithm algorithm,
                                               crypto::HashAlgorithm /*hash*/) {
  const Credential& held = slots_.at(slot);
  if (held.identity == nullptr) return nullptr;
  if (held.identity->key.type() != crypto::key_type(algorithm)) return nullptr;
  return &held;
}

}  // namespace teeio::spdm
