#pragma once

#include "crypto/hash.h"
#include "crypto/secret.h"

namespace teeio::crypto {

/// HMAC (RFC 2104). Any key length, none included.
[[nodiscard]] Digest hmac(HashAlgorithm algorithm, ByteView key, ByteView data);

/// HKDF-Extract (RFC 5869, 2.2). An empty salt stands for hash-size zeros.
[[nodiscard]] Secret hkdf_extract(HashAlgorithm algorithm, ByteView salt, ByteView key_material);

/// HKDF-Expand (RFC 5869, 2.3). Precondition: size_bytes <= 255 × hash size.
[[nodiscard]] Secret hkdf_expand(HashAlgorithm algorithm, ByteView pseudo_random_key, ByteView info,
                                 std::size_t size_bytes);

}  // namespace teeio::crypto
