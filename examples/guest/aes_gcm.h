// AES-256-GCM (FIPS 197, SP 800-38D), for a guest that has no library.
#pragma once

#include <cstdint>

namespace aes_gcm {

constexpr unsigned kKey = 32;
constexpr unsigned kNonce = 12;
constexpr unsigned kTag = 16;

struct Message {
  const unsigned char* nonce;       // kNonce bytes
  const unsigned char* associated;  // not encrypted, but protected
  std::uint64_t associated_size;
  unsigned char* text;  // in place
  std::uint64_t size;
};

void seal(const unsigned char* key, const Message& message, unsigned char* tag);
// False, and the text is of no use, when the tag is wrong.
bool open(const unsigned char* key, const Message& message, const unsigned char* tag);

}  // namespace aes_gcm
