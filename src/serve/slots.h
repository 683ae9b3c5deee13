#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "serve/identities.h"
#include "spdm/credentials.h"

namespace teeio::serve {

/// What a served device's eight certificate slots are filled with at first.
struct SlotFill {
  std::uint8_t slots = 1;  ///< slots 0 to slots - 1 are filled: with `shared`, else the card's own
  const crypto::Identity* shared = nullptr;  ///< one key, pair 1, in each of them
  /// Of single slots, before the above. Key pair: slot + 1, as of the card's own.
  std::array<const crypto::Identity*, 8> single{};
};

/// The slots of a served device, which GET_CSR and SET_CERTIFICATE may change: what was
/// provisioned survives resets and connections, as in a device's flash.
///
/// Lifetime: the device's; the identities of `fill` outlive it. Locking: none.
class Slots final : public spdm::Credentials, public spdm::Provisioning {
 public:
  Slots(std::uint64_t seed, const SlotFill& fill) : fill_(fill), own_(seed, fill.slots) {}

  [[nodiscard]] const spdm::Credential* credential(std::uint8_t slot,
                                                   crypto::SignatureAlgorithm algorithm,
                                                   crypto::HashAlgorithm hash) override;
  Result<Bytes> csr(const Key& key, ByteView requester_info, ByteView opaque) override;
  /// EINVAL also when the chain does not verify, or is no chain of the slot's key.
  Result<void> set_chain(std::uint8_t slot, const Key& key, ByteView certificates) override;

 private:
  struct Provisioned {
    std::unique_ptr<crypto::Identity> identity;  ///< nullptr: erased
    spdm::Credential credential;
  };
  /// As it was made.
  [[nodiscard]] const spdm::Credential* original(std::uint8_t slot,
                                                 crypto::SignatureAlgorithm algorithm,
                                                 crypto::HashAlgorithm hash);
  /// Of a key pair, whatever its slots hold now; nullptr: there is none.
  [[nodiscard]] const spdm::Credential* holder(const Key& key);

  const SlotFill fill_;
  Identities own_;
  std::array<spdm::Credential, 8> given_{};
  std::map<std::pair<std::uint8_t, crypto::KeyType>, Provisioned> provisioned_;
};

}  // namespace teeio::serve
