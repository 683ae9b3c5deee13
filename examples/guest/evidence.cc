#include "evidence.h"

namespace {

bool same(const unsigned char* a, const unsigned char* b, std::uint64_t size) {
  for (std::uint64_t i = 0; i < size; ++i)
    if (a[i] != b[i]) return false;
  return true;
}

}  // namespace

std::uint64_t Evidence::word(std::uint64_t at) const {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 4; ++i) value |= std::uint64_t{bytes_[at + i]} << 8 * i;
  return value;
}

bool Evidence::well_formed() const {
  return size_ >= kHeader && kHeader + word(0) + word(4) + word(8) == size_ && word(8) != 0;
}

bool Evidence::transcript_has(const unsigned char* what, std::uint64_t size) const {
  for (std::uint64_t at = 0; at + size <= transcript_size(); ++at)
    if (same(transcript() + at, what, size)) return true;
  return false;
}

bool Evidence::is_fresh(const unsigned char (&nonce)[32]) const {
  return same(bytes_ + 16, nonce, sizeof nonce) && transcript_has(nonce, sizeof nonce);
}

bool Evidence::names_its_root() const {
  // SPDM's chain: length (2), reserved (2), root hash, certificates. A certificate
  // is a DER SEQUENCE with a length of two bytes.
  constexpr std::uint64_t kFirst = 4 + sha384::kSize;
  if (chain_size() < kFirst + 4) return false;
  const unsigned char* const first = chain() + kFirst;
  if (first[0] != 0x30 || first[1] != 0x82) return false;
  const std::uint64_t size = 4 + (std::uint64_t{first[2]} << 8 | first[3]);
  if (kFirst + size > chain_size()) return false;
  const sha384::Digest digest = sha384::of(first, size);
  return same(digest.bytes, chain() + 4, sha384::kSize);
}

bool Evidence::has_measurement(const sha384::Digest& reference) const {
  return transcript_has(reference.bytes, sha384::kSize);
}
