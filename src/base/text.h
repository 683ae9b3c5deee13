#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace teeio {

/// Strings of programs, devices and users on their way to where bytes have a meaning.

/// What a terminal shows and does not obey: control characters become "\x1b". Line ends,
/// tabs, colours ("ESC [ 1 ; 31 m") and an erased line ("\r ESC [ K") stay: they are ours,
/// and whoever else writes them changes no more than a colour.
[[nodiscard]] std::string visible(std::string_view text);

/// "1 schedule", "0 schedules".
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view word);

/// One word as a POSIX shell reads it; with control characters, as bash, ksh and zsh do
/// ($'…').
[[nodiscard]] std::string shell_word(std::string_view word);

/// With broken UTF-8 replaced by U+FFFD: a path of the user's may be of any bytes.
[[nodiscard]] std::string valid_utf8(std::string_view text);

/// What XML 1.0 can carry, escaped for an attribute or an element; other control characters
/// become '?'.
[[nodiscard]] std::string xml_text(std::string_view text);

/// Single-quoted, as YAML wants it, on one line.
[[nodiscard]] std::string yaml_text(std::string_view text);

}  // namespace teeio
