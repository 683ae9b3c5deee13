#include "serve/slots.h"

#include "crypto/chain_problem.h"
#include "crypto/csr.h"

namespace teeio::serve {
namespace {

/// RSA keys take seconds to make, during which nobody would be served.
bool is_made_at_once(crypto::KeyType type) {
  return type == crypto::KeyType::kP256 || type == crypto::KeyType::kP384 ||
         type == crypto::KeyType::kP521 || type == crypto::KeyType::kMlDsa44 ||
         type == crypto::KeyType::kMlDsa65 || type == crypto::KeyType::kMlDsa87;
}

}  // namespace

const spdm::Credential* Slots::original(std::uint8_t slot, crypto::SignatureAlgorithm algorithm,
                                        crypto::HashAlgorithm hash) {
  const bool single = fill_.single.at(slot) != nullptr;
  if (!single && slot >= fill_.slots) return nullptr;
  const crypto::Identity* const given = single ? fill_.single.at(slot) : fill_.shared;
  if (given == nullptr && !is_made_at_once(crypto::key_type(algorithm))) return nullptr;
  if (given == nullptr) return own_.credential(slot, algorithm, hash);
  if (given->key.type() != crypto::key_type(algorithm)) return nullptr;
  spdm::Credential& credential = given_.at(slot);
  credential.identity = given;
  credential.key_pair_id = static_cast<std::uint8_t>(single ? slot + 1 : 1);
  return &credential;
}

const spdm::Credential* Slots::credential(std::uint8_t slot, crypto::SignatureAlgorithm algorithm,
                                          crypto::HashAlgorithm hash) {
  const auto at = provisioned_.find({slot, crypto::key_type(algorithm)});
  if (at == provisioned_.end()) return original(slot, algorithm, hash);
  return at->second.identity != nullptr ? &at->second.credential : nullptr;
}

const spdm::Credential* Slots::holder(const Key& key) {
  const auto slots = static_cast<std::uint8_t>(fill_.single.size());  // eight at the most
  for (std::uint8_t slot = 0; slot < slots; ++slot) {
    const spdm::Credential* const held = original(slot, key.algorithm, key.hash);
    if (held != nullptr && (key.pair == 0 || held->key_pair_id == key.pair)) return held;
  }
  return nullptr;
}

Result<Bytes> Slots::csr(const Key& key, ByteView requester_info, ByteView /*opaque*/) {
  const spdm::Credential* const held = holder(key);
  if (held == nullptr) return fail(Errno::kInval, "there is no such key pair");
  return crypto::certification_request(held->identity->key, key.hash, "teeio device",
                                       requester_info);
}

Result<void> Slots::set_chain(std::uint8_t slot, const Key& key, ByteView certificates) {
  const std::pair place{slot, crypto::key_type(key.algorithm)};
  if (certificates.empty()) {
    provisioned_[place] = {};
    return {};
  }
  // A slot keeps its key unless a pair is named; an empty one gets slot 0's.
  const spdm::Credential* held =
      key.pair == 0 ? original(slot, key.algorithm, key.hash) : holder(key);
  if (held == nullptr) held = holder(key);
  if (held == nullptr) return fail(Errno::kInval, "there is no such key pair");
  TEEIO_ASSIGN(auto chain, crypto::CertificateChain::parse(certificates));
  const auto& own = held->identity->key;
  if (chain.leaf().public_key().der() != own.public_key().der())
    return fail(Errno::kInval, "the chain is of another key");
  if (crypto::chain_problem(chain)) return fail(Errno::kInval, "the chain does not verify");
  Provisioned made{std::make_unique<crypto::Identity>(crypto::Identity{std::move(chain), own}),
                   *held};
  made.credential.identity = made.identity.get();
  provisioned_[place] = std::move(made);
  return {};
}

}  // namespace teeio::serve
