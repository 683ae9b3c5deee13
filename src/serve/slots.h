#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "serve/identities.h"
#include "spdm/credentials.h"

namespace teeio::serve {

/// What a served device's eight certificate slots are filled with at first.
struct SlotFill {
  std::uint8_t slots = 1;  ///< slots 0 to slots - 1 are filled: with `shared`, else the card's own
  const crypto::Identity* shared = nullptr;         ///< one key pair in each of them
  std::array<const crypto::Identity*, 8> single{};  ///< of single slots, before the above
};

/// The slots of a served device, which GET_CSR, SET_CERTIFICATE and SET_KEY_PAIR_INFO may change:
/// what was provisioned survives resets and connections, as in a device's flash.
///
/// Each type of key has key pairs of its own, numbered from 1 in order of the slots that they
/// fill at first. A slot shows a chain while its pair is associated with it and has the chain's
/// key. Slot 0 keeps its pair: a device is always able to prove itself (a choice of this model).
///
/// Lifetime: the device's; the identities of `fill` outlive it. Locking: none.
class Slots final : public spdm::Credentials, public spdm::Provisioning {
 public:
  Slots(std::uint64_t seed, const SlotFill& fill) : fill_(fill), own_(seed, fill.slots) {}

  [[nodiscard]] const spdm::Credential* credential(std::uint8_t slot,
                                                   crypto::SignatureAlgorithm algorithm,
                                                   crypto::HashAlgorithm hash) override;
  Result<Bytes> csr(const Key& key, ByteView requester_info, ByteView opaque) override;
  /// EINVAL also when it is no chain of the slot's key, or a key pair is named that is not the
  /// slot's; EACCES when it does not verify, from its first certificate on.
  Result<void> set_chain(std::uint8_t slot, const Key& key, std::uint8_t model,
                         ByteView certificates) override;
  Result<KeyPair> key_pair(const Key& key) override;
  /// EBUSY: a slot that is wished for has another pair, or slot 0 would lose its own.
  Result<void> set_pair(const Key& key, const PairWish& wish) override;

 private:
  using Place = std::pair<std::uint8_t, crypto::KeyType>;
  struct Provisioned {
    std::unique_ptr<crypto::Identity> identity;  ///< nullptr: erased
    spdm::Credential credential;
  };
  struct Pair {
    std::optional<crypto::PrivateKey> key;  ///< nullopt: erased
    std::uint16_t usage = 0;
    std::uint8_t slots = 0;  ///< a bit each
  };
  /// Whether the slot was filled at first, for keys of this type.
  [[nodiscard]] bool is_filled(std::uint8_t slot, crypto::KeyType type) const;
  /// Of a slot that was filled at first.
  [[nodiscard]] std::uint8_t pair_number(std::uint8_t slot, crypto::KeyType type) const;
  /// As it was made.
  [[nodiscard]] spdm::Credential* original(std::uint8_t slot, crypto::SignatureAlgorithm algorithm,
                                           crypto::HashAlgorithm hash);
  /// All pairs of a type of key; each has its key made.
  [[nodiscard]] std::vector<Pair>& pairs(crypto::SignatureAlgorithm algorithm,
                                         crypto::HashAlgorithm hash);
  /// The number of the pair that is named, or else of `slot`'s, or else of the first one; 0: there
  /// is none.
  [[nodiscard]] std::uint8_t named_pair(const Key& key, std::uint8_t slot);

  const SlotFill fill_;
  Identities own_;
  std::map<Place, spdm::Credential> shown_;  ///< of original()
  std::map<Place, Provisioned> provisioned_;
  std::map<crypto::KeyType, std::vector<Pair>> pairs_;  ///< once asked for
};

}  // namespace teeio::serve
