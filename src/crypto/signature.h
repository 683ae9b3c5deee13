#pragma once

#include <optional>
#include <string_view>

#include "crypto/hash.h"

namespace teeio::crypto {

/// SPDM's BaseAsymAlgo and ReqBaseAsymAlg that OpenSSL 3.0 can do, then its PqcAsymAlgo
/// (1.4), which OpenSSL has from 3.5 on: available() asks the one that runs. Without
/// Ed448: SPDM gives it a context string, which OpenSSL takes from 3.2 on; and without SM2.
enum class SignatureAlgorithm : std::uint8_t {
  kRsaSsa2048,
  kRsaPss2048,
  kRsaSsa3072,
  kRsaPss3072,
  kEcdsaP256,
  kRsaSsa4096,
  kRsaPss4096,
  kEcdsaP384,
  kEcdsaP521,
  kEd25519,
  kMlDsa44,
  kMlDsa65,
  kMlDsa87,
  kSlhDsaSha2x128s,
  kSlhDsaShake128s,
  kSlhDsaSha2x128f,
  kSlhDsaShake128f,
  kSlhDsaSha2x192s,
  kSlhDsaShake192s,
  kSlhDsaSha2x192f,
  kSlhDsaShake192f,
  kSlhDsaSha2x256s,
  kSlhDsaShake256s,
  kSlhDsaSha2x256f,
  kSlhDsaShake256f,
};
enum class KeyType : std::uint8_t {
  kRsa2048,
  kRsa3072,
  kRsa4096,
  kP256,
  kP384,
  kP521,
  kEd25519,
  kMlDsa44,
  kMlDsa65,
  kMlDsa87,
  kSlhDsaSha2x128s,
  kSlhDsaShake128s,
  kSlhDsaSha2x128f,
  kSlhDsaShake128f,
  kSlhDsaSha2x192s,
  kSlhDsaShake192s,
  kSlhDsaSha2x192f,
  kSlhDsaShake192f,
  kSlhDsaSha2x256s,
  kSlhDsaShake256s,
  kSlhDsaSha2x256f,
  kSlhDsaShake256f,
};

/// Bytes of a signature on the wire: the modulus, r and s at full width, or EdDSA's.
[[nodiscard]] std::size_t signature_size(SignatureAlgorithm algorithm);
[[nodiscard]] KeyType key_type(SignatureAlgorithm algorithm);
/// ML-DSA or SLH-DSA.
[[nodiscard]] bool is_post_quantum(SignatureAlgorithm algorithm);
/// The OpenSSL that runs has it. True of everything but post-quantum algorithms; those are
/// asked for by name, so that one program works with any release.
[[nodiscard]] bool available(KeyType type);
/// "OpenSSL 3.0.22": which one runs.
[[nodiscard]] std::string_view openssl_version();
/// "ML-DSA-65": OpenSSL's and the standards' name; empty for a classical key.
[[nodiscard]] const char* post_quantum_name(KeyType type);
/// Certificates and requests are signed without a separate digest: EdDSA, ML-DSA, SLH-DSA.
[[nodiscard]] bool signs_without_digest(KeyType type);
/// The algorithm that a key of this type signs with; RSA keys with PSS.
[[nodiscard]] SignatureAlgorithm default_algorithm(KeyType type);
/// "p384", "rsa3072", ...: as `teeio pki new --algorithm` has them.
[[nodiscard]] std::string_view key_type_name(KeyType type);
[[nodiscard]] std::optional<KeyType> key_type_from_name(std::string_view name);

/// What is signed: DSP0274, "Signature generation", names a context for each.
enum class SigningPurpose : std::uint8_t {
  kResponderChallengeAuth,
  kRequesterChallengeAuth,
  kResponderMeasurements,
  kResponderKeyExchangeRsp,
  kRequesterFinish,
  kResponderEndpointInfo,
  kRequesterEndpointInfo,
};
[[nodiscard]] std::string_view signing_context(SigningPurpose purpose);

/// Everything but key and transcript that makes an SPDM signature.
struct SpdmSigning {
  std::uint8_t version = 0x12;  ///< as in SPDMVersion: 0x10 to 0x14
  SigningPurpose purpose = SigningPurpose::kResponderChallengeAuth;
  SignatureAlgorithm algorithm = SignatureAlgorithm::kEcdsaP384;
  HashAlgorithm hash = HashAlgorithm::kSha384;
};

/// What the signature is over from SPDM 1.2: combined_spdm_prefix (100 bytes) and
/// the transcript's hash. DSP0274 1.2, clause "Signing algorithms".
[[nodiscard]] Bytes combined_message(const SpdmSigning& what, const Digest& transcript);

}  // namespace teeio::crypto
