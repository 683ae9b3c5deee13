#include "decode/text.h"

#include <array>

namespace teeio::decode {
namespace {

using Pair = std::array<char, 2>;

constexpr std::array<Pair, 256> kHexPairs = [] {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<Pair, 256> pairs{};
  for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {kDigits[i >> 4U], kDigits[i & 0xfU]};
  return pairs;
}();

}  // namespace

Text& Text::add_number(std::uint64_t value, std::size_t width, char fill, int base) {
  std::array<char, kMostDigits> digits;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const char* const end =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  const auto size = static_cast<std::size_t>(end - digits.data());
  if (size < width) add(width - size, fill);
  return add(std::string_view(digits.data(), size));
}

Text& Text::add_hex(ByteView bytes) {
  char* at = claim(2 * bytes.size());
  for (const std::byte b : bytes)
    at = std::ranges::copy(kHexPairs[std::to_integer<std::size_t>(b)], at).out;
  return *this;
}

void Text::grow(std::size_t count) {
  constexpr std::size_t kLeast = 256;
  room_.resize(std::max({kLeast, 2 * room_.size(), size_ + count}));
}

}  // namespace teeio::decode
