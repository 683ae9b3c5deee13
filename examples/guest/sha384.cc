#include "sha384.h"

namespace {

// FIPS 180-4, 4.2.3 and 5.3.4: bits of the roots of primes.
constexpr std::uint64_t kRound[80] = {
    0x428a2f98'd728ae22, 0x71374491'23ef65cd, 0xb5c0fbcf'ec4d3b2f, 0xe9b5dba5'8189dbbc,
    0x3956c25b'f348b538, 0x59f111f1'b605d019, 0x923f82a4'af194f9b, 0xab1c5ed5'da6d8118,
    0xd807aa98'a3030242, 0x12835b01'45706fbe, 0x243185be'4ee4b28c, 0x550c7dc3'd5ffb4e2,
    0x72be5d74'f27b896f, 0x80deb1fe'3b1696b1, 0x9bdc06a7'25c71235, 0xc19bf174'cf692694,
    0xe49b69c1'9ef14ad2, 0xefbe4786'384f25e3, 0x0fc19dc6'8b8cd5b5, 0x240ca1cc'77ac9c65,
    0x2de92c6f'592b0275, 0x4a7484aa'6ea6e483, 0x5cb0a9dc'bd41fbd4, 0x76f988da'831153b5,
    0x983e5152'ee66dfab, 0xa831c66d'2db43210, 0xb00327c8'98fb213f, 0xbf597fc7'beef0ee4,
    0xc6e00bf3'3da88fc2, 0xd5a79147'930aa725, 0x06ca6351'e003826f, 0x14292967'0a0e6e70,
    0x27b70a85'46d22ffc, 0x2e1b2138'5c26c926, 0x4d2c6dfc'5ac42aed, 0x53380d13'9d95b3df,
    0x650a7354'8baf63de, 0x766a0abb'3c77b2a8, 0x81c2c92e'47edaee6, 0x92722c85'1482353b,
    0xa2bfe8a1'4cf10364, 0xa81a664b'bc423001, 0xc24b8b70'd0f89791, 0xc76c51a3'0654be30,
    0xd192e819'd6ef5218, 0xd6990624'5565a910, 0xf40e3585'5771202a, 0x106aa070'32bbd1b8,
    0x19a4c116'b8d2d0c8, 0x1e376c08'5141ab53, 0x2748774c'df8eeb99, 0x34b0bcb5'e19b48a8,
    0x391c0cb3'c5c95a63, 0x4ed8aa4a'e3418acb, 0x5b9cca4f'7763e373, 0x682e6ff3'd6b2b8a3,
    0x748f82ee'5defb2fc, 0x78a5636f'43172f60, 0x84c87814'a1f0ab72, 0x8cc70208'1a6439ec,
    0x90befffa'23631e28, 0xa4506ceb'de82bde9, 0xbef9a3f7'b2c67915, 0xc67178f2'e372532b,
    0xca273ece'ea26619c, 0xd186b8c7'21c0c207, 0xeada7dd6'cde0eb1e, 0xf57d4f7f'ee6ed178,
    0x06f067aa'72176fba, 0x0a637dc5'a2c898a6, 0x113f9804'bef90dae, 0x1b710b35'131c471b,
    0x28db77f5'23047d84, 0x32caab7b'40c72493, 0x3c9ebe0a'15c9bebc, 0x431d67c4'9c100d4c,
    0x4cc5d4be'cb3e42b6, 0x597f299c'fc657e2a, 0x5fcb6fab'3ad6faec, 0x6c44198c'4a475817,
};
using Words = std::uint64_t[8];
constexpr Words kInitial384 = {0xcbbb9d5d'c1059ed8, 0x629a292a'367cd507, 0x9159015a'3070dd17,
                               0x152fecd8'f70e5939, 0x67332667'ffc00b31, 0x8eb44a87'68581511,
                               0xdb0c2e0d'64f98fa7, 0x47b5481d'befa4fa4};
constexpr Words kInitial512 = {0x6a09e667'f3bcc908, 0xbb67ae85'84caa73b, 0x3c6ef372'fe94f82b,
                               0xa54ff53a'5f1d36f1, 0x510e527f'ade682d1, 0x9b05688c'2b3e6c1f,
                               0x1f83d9ab'fb41bd6b, 0x5be0cd19'137e2179};

constexpr std::uint64_t kBlock = 128;

std::uint64_t rotate(std::uint64_t x, unsigned n) { return x >> n | x << (64 - n); }

struct State {
  std::uint64_t h[8];

  // One block, whose bytes `byte` gives.
  template <class Byte>
  void block(Byte byte) {
    std::uint64_t w[80];
    for (unsigned t = 0; t < 16; ++t) {
      w[t] = 0;
      for (unsigned i = 0; i < 8; ++i) w[t] = w[t] << 8 | byte(8 * t + i);
    }
    for (unsigned t = 16; t < 80; ++t) {
      const std::uint64_t a = w[t - 15];
      const std::uint64_t b = w[t - 2];
      w[t] = (rotate(b, 19) ^ rotate(b, 61) ^ b >> 6) + w[t - 7] +
             (rotate(a, 1) ^ rotate(a, 8) ^ a >> 7) + w[t - 16];
    }
    std::uint64_t s[8];
    for (unsigned i = 0; i < 8; ++i) s[i] = h[i];
    for (unsigned t = 0; t < 80; ++t) {
      const std::uint64_t e = s[4];
      const std::uint64_t a = s[0];
      const std::uint64_t first = s[7] + (rotate(e, 14) ^ rotate(e, 18) ^ rotate(e, 41)) +
                                  ((e & s[5]) ^ (~e & s[6])) + kRound[t] + w[t];
      const std::uint64_t second = (rotate(a, 28) ^ rotate(a, 34) ^ rotate(a, 39)) +
                                   ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
      for (unsigned i = 7; i > 0; --i) s[i] = s[i - 1];
      s[4] += first;
      s[0] = first + second;
    }
    for (unsigned i = 0; i < 8; ++i) h[i] += s[i];
  }
};

template <class Digest>
Digest digest_of(const unsigned char* data, std::uint64_t size, const Words& initial) {
  State state{};
  for (unsigned i = 0; i < 8; ++i) state.h[i] = initial[i];
  std::uint64_t at = 0;
  for (; size - at >= kBlock; at += kBlock) state.block([&](unsigned i) { return data[at + i]; });
  // What is left, a one bit, zeros, and the length in bits in the last eight bytes.
  const std::uint64_t rest = size - at;
  const unsigned blocks = rest + 17 <= kBlock ? 1 : 2;
  for (unsigned n = 0; n < blocks; ++n)
    state.block([&](unsigned i) -> unsigned char {
      const std::uint64_t place = n * kBlock + i;
      if (place < rest) return data[at + place];
      if (place == rest) return 0x80;
      const std::uint64_t from_end = blocks * kBlock - 1 - place;
      if (from_end >= 8) return 0;
      return static_cast<unsigned char>(size * 8 >> 8 * from_end);
    });
  Digest digest{};
  for (unsigned i = 0; i < sizeof digest.bytes; ++i)
    digest.bytes[i] = static_cast<unsigned char>(state.h[i / 8] >> (56 - 8 * (i % 8)));
  return digest;
}

}  // namespace

sha384::Digest sha384::of(const unsigned char* data, std::uint64_t size) {
  return digest_of<Digest>(data, size, kInitial384);
}

sha512::Digest sha512::of(const unsigned char* data, std::uint64_t size) {
  return digest_of<Digest>(data, size, kInitial512);
}
