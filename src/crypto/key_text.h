#pragma once

#include <string>

#include "crypto/keys.h"

namespace teeio::crypto {

/// A public key as other programs read it: PEM of its SubjectPublicKeyInfo.
[[nodiscard]] std::string public_key_pem(const PublicKey& key);

/// A signature off the wire as other programs want it: ECDSA's as DER (RFC 3279, 2.2.3),
/// others as they are.
[[nodiscard]] Bytes openssl_signature(SignatureAlgorithm algorithm, ByteView signature);

}  // namespace teeio::crypto
