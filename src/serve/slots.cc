#include "serve/slots.h"

#include <algorithm>

#include "crypto/chain_problem.h"
#include "crypto/csr.h"

namespace teeio::serve {
namespace {

constexpr std::uint8_t kSlots = 8;

/// RSA keys take seconds to make, during which nobody would be served.
bool is_made_at_once(crypto::KeyType type) {
  return type == crypto::KeyType::kP256 || type == crypto::KeyType::kP384 ||
         type == crypto::KeyType::kP521 || type == crypto::KeyType::kMlDsa44 ||
         type == crypto::KeyType::kMlDsa65 || type == crypto::KeyType::kMlDsa87;
}

unsigned bit(std::uint8_t slot) { return 1U << slot; }

/// What any pair can be asked for by SET_KEY_PAIR_INFO.
std::uint16_t pair_capabilities(crypto::KeyType type) {
  unsigned all = wire::kSpdmKeyPairErasable | wire::kSpdmKeyPairCertAssociation |
                 wire::kSpdmKeyPairKeyUsage | wire::kSpdmKeyPairShareable;
  if (is_made_at_once(type)) all |= wire::kSpdmKeyPairGenerate;
  return static_cast<std::uint16_t>(all);
}

}  // namespace

bool Slots::is_filled(std::uint8_t slot, crypto::KeyType type) const {
  if (const crypto::Identity* const single = fill_.single.at(slot))
    return single->key.type() == type;
  if (slot >= fill_.slots) return false;
  return fill_.shared != nullptr ? fill_.shared->key.type() == type : is_made_at_once(type);
}

std::uint8_t Slots::pair_number(std::uint8_t slot, crypto::KeyType type) const {
  const auto is_shared = [&](std::uint8_t at) {
    return fill_.shared != nullptr && fill_.single.at(at) == nullptr;
  };
  std::uint8_t count = 0;
  std::uint8_t shared = 0;
  for (std::uint8_t at = 0; at <= slot; ++at) {
    if (!is_filled(at, type)) continue;
    if (is_shared(at) && shared != 0) continue;
    ++count;
    if (is_shared(at)) shared = count;
  }
  return is_shared(slot) ? shared : count;
}

spdm::Credential* Slots::original(std::uint8_t slot, crypto::SignatureAlgorithm algorithm,
                                  crypto::HashAlgorithm hash) {
  const crypto::KeyType type = crypto::key_type(algorithm);
  if (!is_filled(slot, type)) return nullptr;
  const crypto::Identity* const single = fill_.single.at(slot);
  const crypto::Identity* const given = single != nullptr ? single : fill_.shared;
  spdm::Credential& shown = shown_[{slot, type}];
  if (shown.identity == nullptr) {
    shown.identity = given != nullptr ? given : own_.credential(slot, algorithm, hash)->identity;
    shown.key_pair_id = pair_number(slot, type);
  }
  return &shown;
}

const spdm::Credential* Slots::credential(std::uint8_t slot, crypto::SignatureAlgorithm algorithm,
                                          crypto::HashAlgorithm hash) {
  const crypto::KeyType type = crypto::key_type(algorithm);
  const auto at = provisioned_.find({slot, type});
  spdm::Credential* held = nullptr;
  if (at == provisioned_.end())
    held = original(slot, algorithm, hash);
  else if (at->second.identity != nullptr)
    held = &at->second.credential;
  const auto known = pairs_.find(type);
  if (held == nullptr || known == pairs_.end()) return held;
  const Pair& pair = known->second.at(held->key_pair_id - 1U);
  const bool its_key = pair.key && pair.key->handle() == held->identity->key.handle();
  if (!its_key || (pair.slots & bit(slot)) == 0) return nullptr;
  held->key_usage = pair.usage;
  return held;
}

std::vector<Slots::Pair>& Slots::pairs(crypto::SignatureAlgorithm algorithm,
                                       crypto::HashAlgorithm hash) {
  const auto [at, first] = pairs_.try_emplace(crypto::key_type(algorithm));
  std::vector<Pair>& all = at->second;
  if (!first) return all;
  for (std::uint8_t slot = 0; slot < kSlots; ++slot) {
    const spdm::Credential* const held = original(slot, algorithm, hash);
    if (held == nullptr) continue;
    if (held->key_pair_id > all.size()) all.push_back({held->identity->key, held->key_usage, 0});
    Pair& pair = all.at(held->key_pair_id - 1U);
    pair.slots = static_cast<std::uint8_t>(pair.slots | bit(slot));
  }
  return all;
}

std::uint8_t Slots::named_pair(const Key& key, std::uint8_t slot) {
  const std::vector<Pair>& all = pairs(key.algorithm, key.hash);
  if (key.pair != 0) return key.pair <= all.size() ? key.pair : std::uint8_t{0};
  const auto its =
      std::ranges::find_if(all, [&](const Pair& pair) { return (pair.slots & bit(slot)) != 0; });
  if (its != all.end()) return static_cast<std::uint8_t>(its - all.begin() + 1);
  return all.empty() ? std::uint8_t{0} : std::uint8_t{1};
}

Result<Bytes> Slots::csr(const Key& key, ByteView requester_info, ByteView /*opaque*/) {
  const std::uint8_t number = named_pair(key, 0);
  if (number == 0) return fail(Errno::kInval, "there is no such key pair");
  const Pair& pair = pairs(key.algorithm, key.hash).at(number - 1U);
  if (!pair.key) return fail(Errno::kInval, "the key pair is erased");
  return crypto::certification_request(*pair.key, key.hash, "teeio device", requester_info);
}

Result<void> Slots::set_chain(std::uint8_t slot, const Key& key, std::uint8_t model,
                              ByteView certificates) {
  const Place place{slot, crypto::key_type(key.algorithm)};
  if (certificates.empty()) {
    provisioned_[place] = {};
    return {};
  }
  // A slot keeps its key unless a pair is named; one without gets the first.
  const std::uint8_t number = named_pair(key, slot);
  if (number == 0) return fail(Errno::kInval, "there is no such key pair");
  std::vector<Pair>& all = pairs(key.algorithm, key.hash);
  for (std::size_t other = 0; other < all.size(); ++other)
    if (other != number - 1U && (all[other].slots & bit(slot)) != 0)
      return fail(Errno::kInval, "the slot has another key pair");
  const auto& own = all.at(number - 1U).key;
  if (!own) return fail(Errno::kInval, "the key pair is erased");
  TEEIO_ASSIGN(auto chain, crypto::CertificateChain::parse(certificates));
  if (chain.leaf().public_key() != own->public_key())
    return fail(Errno::kInval, "the chain is of another key");
  if (crypto::chain_problem(chain)) return fail(Errno::kAcces, "the chain does not verify");
  all[number - 1U].slots = static_cast<std::uint8_t>(all[number - 1U].slots | bit(slot));
  Provisioned made{std::make_unique<crypto::Identity>(crypto::Identity{std::move(chain), *own}),
                   {.key_pair_id = number}};
  if (model != 0) made.credential.model = model;
  made.credential.identity = made.identity.get();
  provisioned_[place] = std::move(made);
  return {};
}

Result<spdm::Provisioning::KeyPair> Slots::key_pair(const Key& key) {
  const std::vector<Pair>& all = pairs(key.algorithm, key.hash);
  if (key.pair == 0 || key.pair > all.size())
    return fail(Errno::kInval, "there is no such key pair");
  const Pair& pair = all[key.pair - 1U];
  KeyPair told{.total = static_cast<std::uint8_t>(all.size()),
               .capabilities = pair_capabilities(crypto::key_type(key.algorithm)),
               .usage = pair.usage,
               .slot_mask = pair.slots};
  if (pair.key) told.key = pair.key->public_key();
  return told;
}

Result<void> Slots::set_pair(const Key& key, const PairWish& wish) {
  using Operation = wire::SpdmKeyPairOperation;
  std::vector<Pair>& all = pairs(key.algorithm, key.hash);
  if (key.pair == 0 || key.pair > all.size())
    return fail(Errno::kInval, "there is no such key pair");
  Pair& pair = all[key.pair - 1U];
  for (const Pair& other : all)
    if (&other != &pair && (other.slots & wish.slot_mask) != 0)
      return fail(Errno::kBusy, "a slot has another key pair");
  if ((pair.slots & bit(0)) != 0 && (wish.slot_mask & bit(0)) == 0)
    return fail(Errno::kBusy, "slot 0 keeps its key pair");
  switch (wish.operation) {
    case Operation::kErase:
      pair = {};
      return {};
    case Operation::kGenerate:
      pair.key = crypto::PrivateKey::generate(crypto::key_type(key.algorithm));
      pair.usage = spdm::Credential{}.key_usage;
      break;
    case Operation::kChange:
      break;
  }
  if (wish.usage != 0) pair.usage = wish.usage;
  pair.slots = wish.slot_mask;
  return {};
}

}  // namespace teeio::serve
