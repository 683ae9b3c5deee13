#include "explore/scenario/text_lines.h"

namespace teeio::explore {
namespace {

constexpr std::string_view kBlanks = " \t\r";
/// What ends a word. `=` does only between two words: an address may have none.
constexpr std::string_view kEnds = " \t\r=#\"";

bool printable(char c) { return c >= ' ' && c <= '~'; }

class Splitter {
 public:
  Splitter(std::string_view line, unsigned number) : line_(line), number_(number) {}

  std::expected<std::vector<TextToken>, TextProblem> split() {
    std::vector<TextToken> tokens;
    for (;;) {
      at_ = line_.find_first_not_of(kBlanks, at_);
      if (at_ == std::string_view::npos || line_[at_] == '#') return tokens;
      auto token = next();
      if (!token) return std::unexpected(token.error());
      tokens.push_back(std::move(*token));
    }
  }

 private:
  std::expected<TextToken, TextProblem> next() {
    const std::size_t start = at_;
    if (line_[at_] == '"') return quoted();
    if (line_[at_] == '=') {
      ++at_;
      return token(TextToken::Kind::kEquals, start, 1);
    }
    at_ = std::min(line_.find_first_of(kEnds, at_), line_.size());
    for (std::size_t i = start; i < at_; ++i)
      if (!printable(line_[i])) return problem(i, "a byte that is no printable ASCII");
    const bool arrow = line_.substr(start, at_ - start) == "->";
    return token(arrow ? TextToken::Kind::kArrow : TextToken::Kind::kWord, start, at_ - start);
  }

  std::expected<TextToken, TextProblem> quoted() {
    const std::size_t start = at_;
    const std::size_t end = line_.find('"', start + 1);
    if (end == std::string_view::npos) return problem(start, "a \" that is not closed");
    for (std::size_t i = start; i < end; ++i)
      if (!printable(line_[i])) return problem(i, "a byte that is no printable ASCII");
    at_ = end + 1;
    TextToken made = token(TextToken::Kind::kQuoted, start, 0);
    made.text = line_.substr(start + 1, end - start - 1);
    return made;
  }

  [[nodiscard]] TextToken token(TextToken::Kind kind, std::size_t start, std::size_t length) const {
    return {.kind = kind,
            .text = std::string(line_.substr(start, length)),
            .line = number_,
            .column = static_cast<unsigned>(start + 1)};
  }
  [[nodiscard]] std::unexpected<TextProblem> problem(std::size_t at, std::string what) const {
    return std::unexpected(TextProblem{number_, static_cast<unsigned>(at + 1), std::move(what)});
  }

  const std::string_view line_;
  const unsigned number_;
  std::size_t at_ = 0;
};

}  // namespace

std::expected<std::vector<std::vector<TextToken>>, TextProblem> split_lines(std::string_view text) {
  std::vector<std::vector<TextToken>> lines;
  for (unsigned number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    auto tokens = Splitter(text.substr(0, end), number).split();
    if (!tokens) return std::unexpected(tokens.error());
    if (!tokens->empty()) lines.push_back(std::move(*tokens));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace teeio::explore
