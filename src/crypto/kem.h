#pragma once

#include <cstdint>

#include "base/result.h"
#include "crypto/handles.h"
#include "crypto/secret.h"

namespace teeio::crypto {

/// SPDM's KEMAlg (1.4), in the order of its bits. OpenSSL has them from 3.5 on.
enum class KemAlgorithm : std::uint8_t { kMlKem512, kMlKem768, kMlKem1024 };

/// The OpenSSL that runs has it: asked for by name, so that one program works with any.
[[nodiscard]] bool available(KemAlgorithm algorithm);

/// Bytes. Source: FIPS 203, table 3.
[[nodiscard]] std::size_t encapsulation_key_size(KemAlgorithm algorithm);
[[nodiscard]] std::size_t ciphertext_size(KemAlgorithm algorithm);

/// What the requester keeps between KEY_EXCHANGE and its answer.
///
/// Lifetime: OpenSSL wipes the private half with it.
/// Locking: none; a value.
class DecapsulationKey {
 public:
  /// A new pair from the random source. Precondition: available().
  [[nodiscard]] static DecapsulationKey generate(KemAlgorithm algorithm);
  /// What goes on the wire (DSP0274 1.4, KEY_EXCHANGE, ExchangeData).
  [[nodiscard]] ByteView encapsulation_key() const { return encapsulation_key_; }
  /// The shared secret. A ciphertext of somebody else gives another one (FIPS 203, 6.3):
  /// the handshake's HMAC finds out. Errors: EINVAL for another size.
  [[nodiscard]] Result<Secret> decapsulate(ByteView ciphertext) const;

 private:
  DecapsulationKey(KemAlgorithm algorithm, detail::Handle<evp_pkey_st> key, Bytes encapsulation_key)
      : algorithm_(algorithm),
        key_(std::move(key)),
        encapsulation_key_(std::move(encapsulation_key)) {}

  KemAlgorithm algorithm_;
  detail::Handle<evp_pkey_st> key_;
  Bytes encapsulation_key_;
};

/// The responder's half: a secret, and what tells the key's holder of it.
struct Encapsulated {
  Bytes ciphertext;
  Secret secret;
};
/// Errors: EINVAL when `encapsulation_key` has another size or fails its check (FIPS 203,
/// 7.2). Precondition: available().
[[nodiscard]] Result<Encapsulated> encapsulate(KemAlgorithm algorithm, ByteView encapsulation_key);

}  // namespace teeio::crypto
