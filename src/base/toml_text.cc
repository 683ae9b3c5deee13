#include "base/toml_text.h"

namespace teeio {
namespace {

/// Of all keys and numbers of a text; nobody writes a hundred.
constexpr std::size_t kMostDots = 10'000;

/// Goes through a text and leaves out strings and comments. Source: TOML 1.0, "String", "Comment".
class Scan {
 public:
  explicit Scan(std::string_view text) : rest_(text) {}
  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] std::size_t line() const { return line_; }

  /// The next character that is no part of a string or comment; 0: one of those has gone by.
  char next() {
    const char c = rest_.front();
    if (c == '#') return skip_to("\n", false);
    if (c != '"' && c != '\'') return take();
    const std::string_view three = c == '"' ? "\"\"\"" : "'''";
    const bool many = rest_.starts_with(three);
    rest_.remove_prefix(many ? three.size() : 1);
    return skip_to(many ? three : three.substr(0, 1), c == '"');
  }

 private:
  char take() {
    const char c = rest_.front();
    if (c == '\n') ++line_;
    rest_.remove_prefix(1);
    return c;
  }
  /// Behind `end`, or the end of all: whoever parses says what is wrong with that.
  char skip_to(std::string_view end, bool escapes) {
    while (!rest_.empty()) {
      if (rest_.starts_with(end)) {
        for (std::size_t i = 0; i < end.size(); ++i) take();
        break;
      }
      if (end.size() == 1 && rest_.front() == '\n') break;  // a string that does not end
      if (escapes && rest_.front() == '\\' && rest_.size() > 1) take();
      take();
    }
    return '\0';
  }

  std::string_view rest_;
  std::size_t line_ = 1;
};

}  // namespace

std::size_t line_of_too_many_parts(std::string_view toml) {
  std::size_t dots = 0;
  for (Scan scan(toml); !scan.done();)
    if (scan.next() == '.' && ++dots > kMostDots) return scan.line();
  return 0;
}

}  // namespace teeio
