#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

// What words of `teeio evidence` mean.
namespace teeio::cli {

/// Hexadecimal of `size` bytes; nothing for an empty word. Errors: a sentence for `option`.
[[nodiscard]] std::expected<std::optional<Bytes>, std::string> hex_of(std::string_view option,
                                                                      const std::string& word,
                                                                      std::size_t size);
/// Seconds since 1970 of 2026-11-29T12:00:00Z; of an empty word: now. Nothing: it is no time.
[[nodiscard]] std::optional<std::int64_t> time_of(const std::string& word);

}  // namespace teeio::cli
