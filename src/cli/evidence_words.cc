#include "cli/evidence_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string_view>

#include "base/hex.h"

namespace teeio::cli {
namespace {

/// strptime() alone takes blanks, signs and short fields as well.
bool is_written_as_a_time(std::string_view word) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  return std::ranges::equal(word, kShape, [](char is, char shape) {
    return shape == '0' ? is >= '0' && is <= '9' : is == shape;
  });
}

}  // namespace

std::expected<std::optional<Bytes>, std::string> hex_of(std::string_view option,
                                                        const std::string& word, std::size_t size) {
  if (word.empty()) return std::nullopt;
  auto bytes = from_hex(word);
  if (!bytes || bytes->size() != size)
    return std::unexpected(fmt::format("{}: must be {} hexadecimal digits", option, 2 * size));
  return bytes;
}

std::optional<std::int64_t> time_of(const std::string& word) {
  if (word.empty()) return std::time(nullptr);
  if (!is_written_as_a_time(word)) return std::nullopt;
  std::tm when{};
  const char* const end = ::strptime(word.c_str(), "%Y-%m-%dT%H:%M:%SZ", &when);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const int day = when.tm_mday;
  const std::time_t seconds = ::timegm(&when);
  if (when.tm_mday != day) return std::nullopt;  // there is no 30 February
  return seconds;
}

}  // namespace teeio::cli
