// The few fields of an X.509 certificate that a path needs, for a guest that has no library.
#pragma once

#include "p384.h"

// A certificate with a P-384 key, signed by such a key with SHA-384. What is anything else
// cannot be read.
struct Certificate {
  const unsigned char* signed_part;
  std::uint64_t signed_size;
  const unsigned char* issuer;
  std::uint64_t issuer_size;
  const unsigned char* subject;
  std::uint64_t subject_size;
  unsigned char x[p384::kSize];
  unsigned char y[p384::kSize];
  unsigned char r[p384::kSize];
  unsigned char s[p384::kSize];
  bool is_authority;

  // The certificate at the start of `bytes`; `whole` gets its size.
  bool read(const unsigned char* bytes, std::uint64_t size, std::uint64_t& whole);
  // Its holder may issue, and issued the other.
  bool issued(const Certificate& other) const;
};
