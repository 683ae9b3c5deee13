#include "base/types.h"

#include <fmt/format.h>

#include <charconv>

namespace teeio {
namespace {

/// Takes a hexadecimal number of exactly `digits` digits, ended by `end` (or by
/// the end of the text if `end` is 0), from the front of `text`; nullopt if it
/// is not there or > max.
std::optional<unsigned> take_hex(std::string_view& text, std::size_t digits, char end,
                                 unsigned max) {
  unsigned value = 0;
  if (text.size() < digits) return std::nullopt;
  const char* last = text.data() + digits;
  const auto [stop, error] = std::from_chars(text.data(), last, value, 16);
  if (error != std::errc{} || stop != last || value > max) return std::nullopt;
  text.remove_prefix(digits);
  if (end == 0) return text.empty() ? std::optional(value) : std::nullopt;
  if (text.empty() || text.front() != end) return std::nullopt;
  text.remove_prefix(1);
  return value;
}

}  // namespace

std::string Bdf::str() const {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function);
}

std::optional<Bdf> Bdf::parse(std::string_view text) {
  unsigned domain = 0;
  if (text.size() > 7) {
    const auto parsed = take_hex(text, 4, ':', 0xffff);
    if (!parsed) return std::nullopt;
    domain = *parsed;
  }
  const auto bus = take_hex(text, 2, ':', 0xff);
  const auto device = bus ? take_hex(text, 2, '.', 31) : std::nullopt;
  const auto function = device ? take_hex(text, 1, 0, 7) : std::nullopt;
  if (!function) return std::nullopt;
  return Bdf{static_cast<std::uint16_t>(domain), static_cast<std::uint8_t>(*bus),
             static_cast<std::uint8_t>(*device), static_cast<std::uint8_t>(*function)};
}

}  // namespace teeio
