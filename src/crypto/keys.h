#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"
#include "crypto/signature.h"

namespace teeio::crypto {

/// A public key, parsed once; copies share it.
///
/// Locking: none needed; immutable.
class PublicKey {
 public:
  /// Errors: EINVAL when `der` is no SubjectPublicKeyInfo; EOPNOTSUPP for a key of
  /// a type that KeyType does not have.
  static Result<PublicKey> from_der(ByteView der);
  /// SubjectPublicKeyInfo in PEM, the first of the text. Errors: as from_der().
  static Result<PublicKey> from_pem(std::string_view text);
  /// X || Y of a NIST curve. Errors: EINVAL for another type of key, another size, or a
  /// point that is not on the curve.
  static Result<PublicKey> from_point(KeyType type, ByteView point);
  /// Shares `key`. Errors: EOPNOTSUPP as above.
  static Result<PublicKey> from_handle(std::shared_ptr<evp_pkey_st> key);

  /// Errors: EINVAL when the key is of another type than `algorithm` wants or the
  /// signature has another size; EACCES when it is not this key's.
  [[nodiscard]] Result<void> verify(SignatureAlgorithm algorithm, HashAlgorithm hash,
                                    ByteView message, ByteView signature) const;
  /// The signature of an SPDM message whose transcript has the hash `transcript`.
  /// Errors: as verify().
  [[nodiscard]] Result<void> verify_spdm(const SpdmSigning& what, const Digest& transcript,
                                         ByteView signature) const;

  /// Whether it is the same key, however each is encoded: a point of a curve is, compressed or
  /// not, whether the curve is named or spelled out.
  [[nodiscard]] bool operator==(const PublicKey& other) const;
  [[nodiscard]] KeyType type() const { return type_; }
  /// SubjectPublicKeyInfo, encoded as the key came.
  [[nodiscard]] Bytes der() const;
  [[nodiscard]] evp_pkey_st* handle() const { return key_.get(); }

 private:
  PublicKey(std::shared_ptr<evp_pkey_st> key, KeyType type) : key_(std::move(key)), type_(type) {}

  std::shared_ptr<evp_pkey_st> key_;
  KeyType type_;
};

/// A private key, loaded once; copies share it.
///
/// Lifetime: OpenSSL wipes it with the last copy.
/// Locking: none needed; immutable.
class PrivateKey {
 public:
  /// A new key from the random source.
  [[nodiscard]] static PrivateKey generate(KeyType type);
  /// Errors: EINVAL when `text` holds no unencrypted private key; EOPNOTSUPP for
  /// another type than KeyType's.
  static Result<PrivateKey> from_pem(std::string_view text);
  static Result<PrivateKey> from_der(ByteView der);  ///< PKCS #8 or traditional; errors as above

  /// Errors: EINVAL when the key is of another type than `algorithm` wants.
  [[nodiscard]] Result<Bytes> sign(SignatureAlgorithm algorithm, HashAlgorithm hash,
                                   ByteView message) const;
  [[nodiscard]] Result<Bytes> sign_spdm(const SpdmSigning& what, const Digest& transcript) const;

  [[nodiscard]] KeyType type() const { return public_.type(); }
  [[nodiscard]] const PublicKey& public_key() const { return public_; }
  [[nodiscard]] Secret pem() const;  ///< PKCS #8, unencrypted
  [[nodiscard]] Secret der() const;  ///< PKCS #8, unencrypted
  [[nodiscard]] evp_pkey_st* handle() const { return public_.handle(); }

 private:
  explicit PrivateKey(PublicKey both) : public_(std::move(both)) {}

  PublicKey public_;  // one OpenSSL object holds both halves
};

}  // namespace teeio::crypto
