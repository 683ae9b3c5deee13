#pragma once

#include <cstdint>
#include <string>

#include "crypto/certificate.h"

namespace teeio::crypto {

/// A key with the chain, root first, that says whose it is.
struct Identity {
  CertificateChain chain;
  PrivateKey key;  ///< of chain.leaf()
};

/// An identity from files: the chain's PEM text, root first, and its leaf's key.
/// Errors: as CertificateChain::from_pem() and PrivateKey::from_pem(); EINVAL when the key is
/// another one's.
Result<Identity> identity_from_pem(std::string_view chain, std::string_view key);

/// How a chain of three is made.
struct PkiSpec {
  KeyType type = KeyType::kP384;
  /// Of the signatures in the certificates; EdDSA keys use none.
  HashAlgorithm hash = HashAlgorithm::kSha384;
  std::string name = "teeio device";  ///< common name of the device's certificate
};

/// Root, intermediate and device.
struct Pki {
  PrivateKey root_key;
  PrivateKey intermediate_key;
  Identity device;
};

/// Three keys and three certificates from the random source. Validity is from 2020
/// on without an end (RFC 5280, 4.1.2.5); the device's certificate has the SPDM
/// extension with id-DMTF-hardware-identity and both of SPDM's extended key usages,
/// so that it serves a responder and a requester.
/// Errors: EINVAL when the name is empty or longer than 64 bytes (X.520); EOPNOTSUPP when the
/// OpenSSL that runs has no such keys.
Result<Pki> make_pki(const PkiSpec& spec);

/// The same, as a function of the seed alone, whatever was drawn before. Costs
/// three key generations and three signatures: make it at first use.
[[nodiscard]] Pki make_device_identity(std::uint64_t seed, KeyType type = KeyType::kP384);

/// The hash that fits a key type: SHA-256, -384 or -512 by its strength.
[[nodiscard]] HashAlgorithm fitting_hash(KeyType type);

}  // namespace teeio::crypto
