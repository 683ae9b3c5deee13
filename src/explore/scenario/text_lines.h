#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace teeio::explore {

/// One word of a scenario file and where it stands.
struct TextToken {
  enum class Kind : unsigned char { kWord, kQuoted, kEquals, kArrow } kind = Kind::kWord;
  std::string text;
  unsigned line = 0;    ///< from 1
  unsigned column = 0;  ///< from 1, in bytes
};

struct TextProblem {
  unsigned line = 0;
  unsigned column = 0;
  std::string what;
};

/// The lines that say something, word by word: blanks separate, `#` starts a
/// comment, "…" is one word without escapes, `=` and `->` stand for themselves.
[[nodiscard]] std::expected<std::vector<std::vector<TextToken>>, TextProblem> split_lines(
    std::string_view text);

}  // namespace teeio::explore
