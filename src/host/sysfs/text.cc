#include "host/sysfs/text.h"

#include <charconv>
#include <limits>

namespace teeio::sysfs {

std::string_view trimmed(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
  }
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || stop != text.data() + text.size() || text.empty())
    return std::nullopt;
  return value;
}

std::optional<std::int32_t> parse_int(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) {
    text.remove_prefix(1);
    if (text.starts_with('+')) return std::nullopt;
  }
  const auto value = parse_unsigned(text);
  constexpr std::uint64_t kMax = std::numeric_limits<std::int32_t>::max();
  if (!value || *value > kMax + (negative ? 1U : 0U)) return std::nullopt;
  const auto wide = static_cast<std::int64_t>(*value);
  return static_cast<std::int32_t>(negative ? -wide : wide);
}

Result<bool> parse_truth(std::string_view text) {
  const auto letter = [&](std::size_t at) { return at < text.size() ? text[at] : '\0'; };
  constexpr std::string_view kTrue = "yYtT1", kFalse = "nNfF0", kO = "oO";
  if (kTrue.contains(letter(0))) return true;
  if (kFalse.contains(letter(0))) return false;
  if (kO.contains(letter(0))) {
    if (std::string_view("nN").contains(letter(1))) return true;
    if (std::string_view("fF").contains(letter(1))) return false;
  }
  return fail(Errno::kInval, "not 0, 1, y, n, on or off");
}

}  // namespace teeio::sysfs
