#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace teeio::sysfs {

// How Linux's attributes read what is written to them. Each takes the bytes as
// written; like a C string they end at the first NUL.

/// kstrtoul() with base 0: decimal, 0x hexadecimal or 0 octal, one '+' before and
/// one newline after allowed.
[[nodiscard]] std::optional<std::uint64_t> parse_unsigned(std::string_view text);
/// kstrtoint() with base 0: the same with a '-'.
[[nodiscard]] std::optional<std::int32_t> parse_int(std::string_view text);
/// kstrtobool(), of lib/kstrtox.c: the first letter or two say it. Errors: EINVAL.
[[nodiscard]] Result<bool> parse_truth(std::string_view text);
/// The text without what a C string and sysfs_streq() ignore: NUL and after it,
/// one trailing newline.
[[nodiscard]] std::string_view trimmed(std::string_view text);

}  // namespace teeio::sysfs
