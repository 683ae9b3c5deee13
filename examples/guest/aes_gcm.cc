#include "aes_gcm.h"

namespace aes_gcm {
namespace {

constexpr unsigned kBlock = 16;
constexpr unsigned kRounds = 14;
constexpr unsigned kWords = 4 * (kRounds + 1);

struct Block {
  unsigned char bytes[kBlock];
};

// GF(2^8) with AES's polynomial.
unsigned char twice(unsigned char x) {
  return static_cast<unsigned char>(x << 1 ^ ((x & 0x80) != 0 ? 0x1b : 0));
}
unsigned char product(unsigned char a, unsigned char b) {
  unsigned char sum = 0;
  for (; b != 0; b >>= 1, a = twice(a))
    if ((b & 1) != 0) sum ^= a;
  return sum;
}

// FIPS 197, 5.1.1: the inverse, which is the 254th power, and an affine map.
unsigned char substitute(unsigned char x) {
  unsigned char power = 1;
  for (unsigned bit = 7; bit < 8; --bit) {
    power = product(power, power);
    if ((254 >> bit & 1) != 0) power = product(power, x);
  }
  unsigned char result = 0x63;
  for (unsigned i = 0; i < 5; ++i)
    result ^= static_cast<unsigned char>(power << i | power >> (8 - i));
  return result;
}

class Aes {
 public:
  explicit Aes(const unsigned char* key) {
    for (unsigned i = 0; i < 256; ++i) box_[i] = substitute(static_cast<unsigned char>(i));
    for (unsigned i = 0; i < kKey; ++i) schedule_[i] = key[i];
    unsigned char constant = 1;
    for (unsigned word = 8; word < kWords; ++word) {
      unsigned char* const now = schedule_ + 4 * word;
      unsigned char last[4] = {now[-4], now[-3], now[-2], now[-1]};
      if (word % 8 == 0) {
        const unsigned char first = last[0];
        for (unsigned i = 0; i < 3; ++i) last[i] = box_[last[i + 1]];
        last[3] = box_[first];
        last[0] ^= constant;
        constant = twice(constant);
      } else if (word % 8 == 4) {
        for (unsigned char& byte : last) byte = box_[byte];
      }
      for (unsigned i = 0; i < 4; ++i)
        now[i] = static_cast<unsigned char>(schedule_[4 * (word - 8) + i] ^ last[i]);
    }
  }

  Block encrypt(Block block) const {
    add(block, 0);
    for (unsigned round = 1; round <= kRounds; ++round) {
      Block mixed{};
      // SubBytes and ShiftRows: column c gets row r from column c + r.
      for (unsigned i = 0; i < kBlock; ++i)
        mixed.bytes[i] = box_[block.bytes[(i + 4 * (i % 4)) % kBlock]];
      block = round == kRounds ? mixed : mix(mixed);
      add(block, round);
    }
    return block;
  }

 private:
  void add(Block& block, unsigned round) const {
    for (unsigned i = 0; i < kBlock; ++i) block.bytes[i] ^= schedule_[kBlock * round + i];
  }
  static Block mix(const Block& in) {
    Block out{};
    for (unsigned i = 0; i < kBlock; ++i) {
      const unsigned column = i / 4 * 4;
      const unsigned char* const c = in.bytes + column;
      const unsigned char next = c[(i + 1) % 4];
      out.bytes[i] = static_cast<unsigned char>(twice(c[i % 4]) ^ twice(next) ^ next ^
                                                c[(i + 2) % 4] ^ c[(i + 3) % 4]);
    }
    return out;
  }

  unsigned char box_[256];
  unsigned char schedule_[4 * kWords];
};

// SP 800-38D, 6.4: bytes are polynomials with the highest bit first.
class Ghash {
 public:
  explicit Ghash(const Block& key) : key_(key) {}

  // Zeros fill the last block.
  void add(const unsigned char* bytes, std::uint64_t size) {
    for (std::uint64_t at = 0; at < size; at += kBlock) {
      for (unsigned i = 0; i < kBlock && at + i < size; ++i) state_.bytes[i] ^= bytes[at + i];
      multiply();
    }
  }
  void add_lengths(std::uint64_t associated, std::uint64_t text) {
    Block lengths{};
    for (unsigned i = 0; i < 8; ++i) {
      lengths.bytes[7 - i] = static_cast<unsigned char>(associated * 8 >> 8 * i);
      lengths.bytes[15 - i] = static_cast<unsigned char>(text * 8 >> 8 * i);
    }
    add(lengths.bytes, kBlock);
  }
  const Block& value() const { return state_; }

 private:
  void multiply() {
    Block sum{};
    Block shifted = key_;
    for (unsigned bit = 0; bit < 128; ++bit) {
      if ((state_.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0)
        for (unsigned i = 0; i < kBlock; ++i) sum.bytes[i] ^= shifted.bytes[i];
      const bool carry = (shifted.bytes[15] & 1) != 0;
      for (unsigned i = 15; i > 0; --i)
        shifted.bytes[i] =
            static_cast<unsigned char>(shifted.bytes[i] >> 1 | shifted.bytes[i - 1] << 7);
      shifted.bytes[0] >>= 1;
      if (carry) shifted.bytes[0] ^= 0xe1;
    }
    state_ = sum;
  }

  Block key_;
  Block state_{};
};

Block counter_block(const unsigned char* nonce, std::uint32_t counter) {
  Block block{};
  for (unsigned i = 0; i < kNonce; ++i) block.bytes[i] = nonce[i];
  for (unsigned i = 0; i < 4; ++i)
    block.bytes[15 - i] = static_cast<unsigned char>(counter >> 8 * i);
  return block;
}

void apply_stream(const Aes& aes, const Message& message) {
  for (std::uint64_t at = 0; at < message.size; at += kBlock) {
    const auto counter = static_cast<std::uint32_t>(2 + at / kBlock);
    const Block stream = aes.encrypt(counter_block(message.nonce, counter));
    for (unsigned i = 0; i < kBlock && at + i < message.size; ++i)
      message.text[at + i] ^= stream.bytes[i];
  }
}

// Of the encrypted text.
Block tag_of(const Aes& aes, const Message& message) {
  Ghash hash(aes.encrypt(Block{}));
  hash.add(message.associated, message.associated_size);
  hash.add(message.text, message.size);
  hash.add_lengths(message.associated_size, message.size);
  Block tag = aes.encrypt(counter_block(message.nonce, 1));
  for (unsigned i = 0; i < kBlock; ++i) tag.bytes[i] ^= hash.value().bytes[i];
  return tag;
}

}  // namespace

void seal(const unsigned char* key, const Message& message, unsigned char* tag) {
  const Aes aes(key);
  apply_stream(aes, message);
  const Block made = tag_of(aes, message);
  for (unsigned i = 0; i < kTag; ++i) tag[i] = made.bytes[i];
}

bool open(const unsigned char* key, const Message& message, const unsigned char* tag) {
  const Aes aes(key);
  const Block wanted = tag_of(aes, message);
  unsigned char difference = 0;
  for (unsigned i = 0; i < kTag; ++i)
    difference = static_cast<unsigned char>(difference | (wanted.bytes[i] ^ tag[i]));
  apply_stream(aes, message);
  return difference == 0;
}

}  // namespace aes_gcm
