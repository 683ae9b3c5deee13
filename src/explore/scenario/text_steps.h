#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "explore/scenario/text.h"
#include "explore/scenario/text_calls.h"
#include "explore/scenario/text_lines.h"

namespace teeio::explore {

template <class T = void>
using Parsed = std::expected<T, TextProblem>;
using Tokens = std::span<const TextToken>;

[[nodiscard]] std::unexpected<TextProblem> wrong(const TextToken& token, std::string what);
/// Something is missing behind `token`.
[[nodiscard]] std::unexpected<TextProblem> missing(const TextToken& token, std::string what);
/// Of letters, digits, - _ and /, at most 64.
[[nodiscard]] bool is_name(std::string_view text);
/// Decimal, or hexadecimal after 0x.
[[nodiscard]] std::optional<std::uint64_t> number(std::string_view text);

/// Reads the calls of a scenario, and what they name:
/// `[NAME =] CALL [DESCRIPTOR] [TEXT…] [KEY=VALUE…] [-> ANSWER…]`.
class StepParser {
 public:
  /// Who may use what is named: all, the thread itself, or (at the end) everybody.
  enum class Scope : std::uint8_t { kSetup, kThread, kFinish };

  Parsed<> step(Tokens line, Scope scope, std::size_t part_number, TextPart& part);
  [[nodiscard]] std::uint32_t symbols() const { return next_symbol_; }
  /// How many names there are; and those after the first `count` may be given again.
  [[nodiscard]] std::size_t names() const { return names_.size(); }
  void forget_names_from(std::size_t count);

 private:
  struct Symbol {
    std::uint32_t number;
    CallRow::Result kind;
    std::uint32_t process;
    Scope scope;
    std::size_t part_number;
  };
  /// Where the line that is read stands.
  struct Place {
    Scope scope = Scope::kSetup;
    std::size_t part_number = 0;
    std::uint32_t process = 0;
  };

  Parsed<> condition(Tokens line, TextStep& made);
  Parsed<> operands(Tokens line, TextStep& made);
  Parsed<> argument(Tokens line, std::size_t at, TextStep& made, std::vector<bool>& given);
  Parsed<> value(const TextToken& token, const CallParameter& parameter, TextArgument& into);
  Parsed<> symbol_value(const TextToken& token, CallRow::Result kind, TextArgument& into);
  Parsed<> fill_in(Tokens line, TextStep& made, const std::vector<bool>& given);
  static Parsed<> check_widths(Tokens line, const TextStep& made);
  Parsed<> answers(Tokens line, TextStep& made);
  Parsed<> keep_result(const TextToken& name, TextStep& made);
  Parsed<std::uint32_t> find_symbol(const TextToken& token, CallRow::Result kind);
  [[nodiscard]] std::string known(CallRow::Result kind) const;

  Place place_;
  std::map<std::string, Symbol> symbols_;
  std::vector<std::string> names_;  ///< of symbols_, in the order in which they were given
  std::uint32_t next_symbol_ = 1;
  std::size_t steps_ = 0;
};

/// Returns the problem of `expr` from the enclosing function, if it has one.
#define TEXT_TRY(expr)                                                         \
  do {                                                                         \
    if (auto text_r = (expr); !text_r) return std::unexpected(text_r.error()); \
  } while (false)

}  // namespace teeio::explore
