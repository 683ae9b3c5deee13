// ECDSA on P-384 with SHA-384 (FIPS 186-5, 6.4.2), verification only, for a guest that has
// no library. Nothing here is secret: it takes the time that the numbers take.
#pragma once

#include "sha384.h"

namespace p384 {

constexpr unsigned kSize = 48;  // bytes of a number, big-endian

// r and s. False also for a key that is no point of the curve.
bool verify(const unsigned char (&x)[kSize], const unsigned char (&y)[kSize],
            const sha384::Digest& digest, const unsigned char (&r)[kSize],
            const unsigned char (&s)[kSize]);

}  // namespace p384
