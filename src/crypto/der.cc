#include "crypto/der.h"

namespace teeio::crypto {
namespace {

constexpr unsigned kLongTag = 0x1f;
constexpr unsigned kLongLength = 0x80;

unsigned at(ByteView bytes, std::size_t index) { return std::to_integer<unsigned>(bytes[index]); }

}  // namespace

std::optional<DerElement> DerReader::next() {
  if (rest_.empty()) return std::nullopt;
  ok_ = false;
  if (rest_.size() < 2 || (at(rest_, 0) & kLongTag) == kLongTag) return std::nullopt;
  std::size_t header = 2;
  std::size_t length = at(rest_, 1);
  if (length >= kLongLength) {
    const std::size_t octets = length - kLongLength;
    if (octets == 0 || octets > 4 || rest_.size() < header + octets) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < octets; ++i) length = length << 8U | at(rest_, header + i);
    // X.690, 10.1: the shortest form, and no other.
    if (length < kLongLength || at(rest_, header) == 0) return std::nullopt;
    header += octets;
  }
  if (length > rest_.size() - header) return std::nullopt;
  const DerElement element{std::to_integer<std::uint8_t>(rest_[0]), rest_.subspan(header, length),
                           rest_.first(header + length)};
  rest_ = rest_.subspan(header + length);
  ok_ = true;
  return element;
}

std::optional<DerElement> DerReader::next(std::uint8_t tag) {
  if (rest_.empty() || std::to_integer<std::uint8_t>(rest_[0]) != tag) return std::nullopt;
  return next();
}

std::string der_object_id(ByteView contents) {
  std::string text;
  std::uint64_t arc = 0;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 56U;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const unsigned octet = at(contents, i);
    if (arc > kMost) return {};
    arc = arc << 7U | (octet & 0x7fU);
    const bool more = (octet & 0x80U) != 0;
    if (more && i + 1 == contents.size()) return {};
    if (more) continue;
    if (text.empty()) {  // X.690, 8.19.4: the first two arcs share one number
      const std::uint64_t first = arc < 80 ? arc / 40 : 2;
      text = std::to_string(first) + "." + std::to_string(arc - 40 * first);
    } else {
      text += "." + std::to_string(arc);
    }
    arc = 0;
  }
  return text;
}

std::optional<std::uint64_t> der_unsigned(ByteView contents) {
  if (contents.empty() || (at(contents, 0) & 0x80U) != 0) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    if ((value >> 56U) != 0) return std::nullopt;
    value = value << 8U | at(contents, i);
  }
  return value;
}

}  // namespace teeio::crypto
