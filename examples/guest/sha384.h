// SHA-384 and SHA-512 (FIPS 180-4), for a guest that has no library.
#pragma once

#include <cstdint>

namespace sha384 {

constexpr unsigned kSize = 48;
struct Digest {
  unsigned char bytes[kSize];
};

Digest of(const unsigned char* data, std::uint64_t size);

}  // namespace sha384

namespace sha512 {

constexpr unsigned kSize = 64;
struct Digest {
  unsigned char bytes[kSize];
};

Digest of(const unsigned char* data, std::uint64_t size);

}  // namespace sha512
