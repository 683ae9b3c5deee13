#pragma once

#include <openssl/evp.h>

#include "crypto/hash.h"

// What the .cc files of this room share; no header includes it.
namespace teeio::crypto::detail {

/// The fetched algorithm: a fetch takes longer than a short hash.
[[nodiscard]] const EVP_MD* md(HashAlgorithm algorithm);

[[nodiscard]] inline const unsigned char* data_of(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
[[nodiscard]] inline unsigned char* out_of(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace teeio::crypto::detail
