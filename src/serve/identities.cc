#include "serve/identities.h"

#include <utility>

namespace teeio::serve {

const spdm::Credential* Identities::credential(std::uint8_t slot,
                                               crypto::SignatureAlgorithm algorithm,
                                               crypto::HashAlgorithm /*hash*/) {
  if (slot >= slots_) return nullptr;
  const crypto::KeyType type = crypto::key_type(algorithm);
  auto at = made_.find(type);
  if (at == made_.end()) {
    at = made_.emplace(type, Made{crypto::make_device_identity(seed_, type), {}}).first;
    at->second.credential.identity = &at->second.pki.device;
    at->second.credential.key_pair_id = 1;
  }
  return &at->second.credential;
}

}  // namespace teeio::serve
