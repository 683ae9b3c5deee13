#pragma once

#include <openssl/evp.h>

#include "crypto/hash.h"

// What the .cc files of this room share; no header includes it.
namespace teeio::crypto::detail {

/// The fetched algorithm: a fetch takes longer than a short hash.
[[nodiscard]] const EVP_MD* md(HashAlgorithm algorithm);

/// Certificates and requests that are signed by ECDSA with SHA-3 can be verified from here on.
void know_ecdsa_with_sha3();

[[nodiscard]] inline const unsigned char* data_of(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
[[nodiscard]] inline unsigned char* out_of(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace teeio::crypto::detail
