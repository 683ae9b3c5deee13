#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/handles.h"

namespace teeio::crypto {

/// SPDM's AEAD cipher suites (DSP0274, ALGORITHMS, AEAD structure).
enum class AeadAlgorithm : std::uint8_t { kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };

inline constexpr std::size_t kAeadTagSize = 16;    ///< bytes, of all three
inline constexpr std::size_t kAeadNonceSize = 12;  ///< bytes, of all three

/// Bytes of a key.
[[nodiscard]] constexpr std::size_t aead_key_size(AeadAlgorithm algorithm) {
  return algorithm == AeadAlgorithm::kAes128Gcm ? 16 : 32;
}

/// One key for one direction, expanded once; a message costs what its bytes cost.
/// Encryption is in place.
///
/// Lifetime: the key inside is wiped with the object.
/// Locking: none; the owner's (seal and open use one context).
class Aead {
 public:
  using Nonce = std::span<const std::byte, kAeadNonceSize>;
  using Tag = std::span<std::byte, kAeadTagSize>;
  using ConstTag = std::span<const std::byte, kAeadTagSize>;
  enum class Direction : std::uint8_t { kSeal, kOpen };

  /// Precondition: `key` has aead_key_size() bytes.
  Aead(AeadAlgorithm algorithm, Direction direction, ByteView key);

  /// Encrypts `text` where it is and writes the tag of it and of `associated`.
  /// Precondition: a kSeal object; a nonce never comes twice.
  void seal(Nonce nonce, ByteView associated, std::span<std::byte> text, Tag tag);

  /// Decrypts `text` where it is. Errors: EACCES when the tag is wrong; `text` is
  /// zeros then, so nothing unauthenticated can be used.
  /// Precondition: a kOpen object.
  Result<void> open(Nonce nonce, ByteView associated, std::span<std::byte> text, ConstTag tag);

  /// Decrypts `cipher_text` to `text` (of the same size; either the same place or
  /// apart). Errors and precondition as above.
  Result<void> open(Nonce nonce, ByteView associated, ByteView cipher_text,
                    std::span<std::byte> text, ConstTag tag);

 private:
  Direction direction_;
  detail::Handle<evp_cipher_ctx_st> context_;
};

}  // namespace teeio::crypto
