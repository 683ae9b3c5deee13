#include "evidence.h"

#include "certificate.h"

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

// SPDM's chain: length (2), reserved (2), root hash, certificates.
constexpr std::uint64_t kFirst = 4 + sha384::kSize;

// A certificate is a DER SEQUENCE with a length of two bytes.
bool Evidence::first_certificate(const unsigned char*& at, std::uint64_t& size) const {
  if (chain_size() < kFirst + 4) return false;
  at = chain() + kFirst;
  if (at[0] != 0x30 || at[1] != 0x82) return false;
  size = 4 + (std::uint64_t{at[2]} << 8 | at[3]);
  return kFirst + size <= chain_size();
}

bool Evidence::names_its_root() const {
  const unsigned char* first = nullptr;
  std::uint64_t size = 0;
  if (!first_certificate(first, size)) return false;
  const sha384::Digest digest = sha384::of(first, size);
  return same(digest.bytes, chain() + 4, sha384::kSize);
}

bool Evidence::begins_with(const sha384::Digest& root) const {
  return names_its_root() && same(root.bytes, chain() + 4, sha384::kSize);
}

// From SPDM 1.2 on: the hash of a prefix with the version and of the transcript's hash.
// DSP0274 1.2, "Signing algorithms".
bool Evidence::signed_digest(sha384::Digest& digest) const {
  constexpr std::uint64_t kGetVersion = 4;
  constexpr std::uint64_t kPrefix = 100;
  static const char kWords[] = "dmtf-spdm-v1.x.*";
  static const char kContext[] = "responder-measurements signing";
  const unsigned char* const said = transcript();
  // GET_VERSION, VERSION with its count of entries, then the first message of the version
  // that was agreed on.
  if (transcript_size() < kGetVersion + 6) return false;
  const std::uint64_t at = kGetVersion + 6 + 2 * std::uint64_t{said[kGetVersion + 5]};
  if (at >= transcript_size() || said[at] < 0x12 || said[at] > 0x19) return false;
  unsigned char message[kPrefix + sha384::kSize] = {};
  for (unsigned i = 0; i < 64; ++i) message[i] = static_cast<unsigned char>(kWords[i % 16]);
  for (unsigned i = 13; i < 64; i += 16)
    message[i] = static_cast<unsigned char>('0' + (said[at] & 0xf));
  constexpr std::uint64_t kContextSize = sizeof kContext - 1;
  for (unsigned i = 0; i < kContextSize; ++i)
    message[kPrefix - kContextSize + i] = static_cast<unsigned char>(kContext[i]);
  const sha384::Digest hash = sha384::of(said, transcript_size());
  for (unsigned i = 0; i < sha384::kSize; ++i) message[kPrefix + i] = hash.bytes[i];
  digest = sha384::of(message, sizeof message);
  return true;
}

bool Evidence::is_signed() const {
  if (!names_its_root() || signature_size() != 2 * p384::kSize) return false;
  Certificate above{};
  std::uint64_t size = 0;
  std::uint64_t at = kFirst;
  if (!above.read(chain() + at, chain_size() - at, size)) return false;
  // The root's own signature says nothing: whoever trusts it has it from elsewhere.
  for (at += size; at < chain_size(); at += size) {
    Certificate below{};
    if (!below.read(chain() + at, chain_size() - at, size) || !above.issued(below)) return false;
    above = below;
  }
  sha384::Digest digest{};
  if (above.is_authority || !signed_digest(digest)) return false;
  unsigned char r[p384::kSize];
  unsigned char s[p384::kSize];
  for (unsigned i = 0; i < p384::kSize; ++i) {
    r[i] = signature()[i];
    s[i] = signature()[p384::kSize + i];
  }
  return p384::verify(above.x, above.y, digest, r, s);
}

bool Evidence::has_measurement(const sha384::Digest& reference) const {
  return transcript_has(reference.bytes, sha384::kSize);
}
