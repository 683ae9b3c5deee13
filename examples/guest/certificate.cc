#include "certificate.h"

namespace {

struct Bytes {
  const unsigned char* at;
  std::uint64_t size;
};

bool same(Bytes a, Bytes b) {
  if (a.size != b.size) return false;
  for (std::uint64_t i = 0; i < a.size; ++i)
    if (a.at[i] != b.at[i]) return false;
  return true;
}

// The DER element at the start of `rest`, which is shortened by it: all of it, and what is
// inside. False: there is none of this tag.
bool take(Bytes& rest, unsigned tag, Bytes& whole, Bytes& inside) {
  if (rest.size < 2 || rest.at[0] != tag) return false;
  std::uint64_t header = 2;
  std::uint64_t length = rest.at[1];
  if (length >= 0x80) {
    const std::uint64_t octets = length - 0x80;
    if (octets == 0 || octets > 2 || rest.size < header + octets) return false;
    length = 0;
    for (std::uint64_t i = 0; i < octets; ++i) length = length << 8 | rest.at[header + i];
    header += octets;
  }
  if (length > rest.size - header) return false;
  whole = {rest.at, header + length};
  inside = {rest.at + header, length};
  rest = {rest.at + header + length, rest.size - header - length};
  return true;
}

constexpr unsigned kSequence = 0x30;
constexpr unsigned kInteger = 0x02;
constexpr unsigned kBits = 0x03;
constexpr unsigned kOctets = 0x04;
constexpr unsigned kObjectId = 0x06;
constexpr unsigned kBoolean = 0x01;

// An INTEGER at full width.
bool number(Bytes& rest, unsigned char (&out)[p384::kSize]) {
  Bytes whole{};
  Bytes value{};
  if (!take(rest, kInteger, whole, value) || value.size == 0) return false;
  if (value.size > 1 && value.at[0] == 0) value = {value.at + 1, value.size - 1};
  if (value.size > p384::kSize) return false;
  for (unsigned i = 0; i < p384::kSize; ++i) out[i] = 0;
  for (std::uint64_t i = 0; i < value.size; ++i) out[p384::kSize - value.size + i] = value.at[i];
  return true;
}

bool is_ecdsa_with_sha384(Bytes algorithm) {
  static const unsigned char kId[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
  return same(algorithm, {kId, sizeof kId});
}

bool read_key(Bytes info, Certificate& out) {
  static const unsigned char kAlgorithm[] = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                                             0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
  Bytes whole{};
  Bytes algorithm{};
  Bytes key{};
  if (!take(info, kSequence, whole, algorithm) || !take(info, kBits, whole, key)) return false;
  if (!same(algorithm, {kAlgorithm, sizeof kAlgorithm})) return false;
  if (key.size != 2 + 2 * p384::kSize || key.at[0] != 0 || key.at[1] != 4) return false;
  for (unsigned i = 0; i < p384::kSize; ++i) {
    out.x[i] = key.at[2 + i];
    out.y[i] = key.at[2 + p384::kSize + i];
  }
  return true;
}

// Basic constraints say cA.
bool is_authority(Bytes extensions) {
  static const unsigned char kBasicConstraints[] = {0x55, 0x1d, 0x13};
  Bytes whole{};
  Bytes one{};
  while (take(extensions, kSequence, whole, one)) {
    Bytes id{};
    Bytes value{};
    if (!take(one, kObjectId, whole, id)) return false;
    take(one, kBoolean, whole, value);  // critical
    if (!same(id, {kBasicConstraints, sizeof kBasicConstraints})) continue;
    Bytes fields{};
    Bytes ca{};
    return take(one, kOctets, whole, value) && take(value, kSequence, whole, fields) &&
           take(fields, kBoolean, whole, ca) && ca.size == 1 && ca.at[0] == 0xff;
  }
  return false;
}

}  // namespace

bool Certificate::read(const unsigned char* bytes, std::uint64_t size, std::uint64_t& whole_size) {
  Bytes rest{bytes, size};
  Bytes whole{};
  Bytes fields{};
  if (!take(rest, kSequence, whole, fields)) return false;
  whole_size = whole.size;
  Bytes to_be_signed{};
  Bytes inner{};
  if (!take(fields, kSequence, to_be_signed, inner)) return false;
  signed_part = to_be_signed.at;
  signed_size = to_be_signed.size;
  Bytes algorithm{};
  Bytes bits{};
  if (!take(fields, kSequence, whole, algorithm) || !is_ecdsa_with_sha384(algorithm)) return false;
  if (!take(fields, kBits, whole, bits) || bits.size < 2 || bits.at[0] != 0) return false;
  Bytes signature{bits.at + 1, bits.size - 1};
  Bytes pair{};
  if (!take(signature, kSequence, whole, pair) || !number(pair, r) || !number(pair, s))
    return false;

  Bytes part{};
  Bytes name{};
  constexpr unsigned kVersion = 0xa0;
  constexpr unsigned kExtensions = 0xa3;
  if (!take(inner, kVersion, whole, part) || !take(inner, kInteger, whole, part) ||
      !take(inner, kSequence, whole, part))
    return false;
  if (!take(inner, kSequence, name, part)) return false;
  issuer = name.at;
  issuer_size = name.size;
  if (!take(inner, kSequence, whole, part) || !take(inner, kSequence, name, part)) return false;
  subject = name.at;
  subject_size = name.size;
  if (!take(inner, kSequence, whole, part) || !read_key(part, *this)) return false;
  Bytes list{};
  is_authority = take(inner, kExtensions, whole, part) && take(part, kSequence, whole, list) &&
                 ::is_authority(list);
  return true;
}

bool Certificate::issued(const Certificate& other) const {
  return is_authority && same({subject, subject_size}, {other.issuer, other.issuer_size}) &&
         p384::verify(x, y, sha384::of(other.signed_part, other.signed_size), other.r, other.s);
}
