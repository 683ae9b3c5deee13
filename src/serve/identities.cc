#include "serve/identities.h"

#include <utility>

namespace teeio::serve {

const spdm::Credential* Identities::credential(std::uint8_t slot,
                                               crypto::SignatureAlgorithm algorithm,
                                               crypto::HashAlgorithm /*hash*/) {
  if (slot >= slots_) return nullptr;
  const crypto::KeyType type = crypto::key_type(algorithm);
  auto at = made_.find({slot, type});
  if (at == made_.end()) {
    constexpr unsigned kSlotShift = 56;  // serial numbers leave those bits alone, mostly
    const std::uint64_t seed = seed_ ^ static_cast<std::uint64_t>(slot) << kSlotShift;
    at = made_.emplace(std::pair(slot, type), Made{crypto::make_device_identity(seed, type), {}})
             .first;
    at->second.credential.identity = &at->second.pki.device;
    at->second.credential.key_pair_id = static_cast<std::uint8_t>(slot + 1);
  }
  return &at->second.credential;
}

}  // namespace teeio::serve
