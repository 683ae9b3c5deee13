#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "explore/scenario.h"
#include "machine/config.h"

namespace teeio::explore {

struct CallRow;

/// What one argument of a call stands for.
struct TextArgument {
  enum class Kind : std::uint8_t { kNumber, kSymbol } kind = Kind::kNumber;
  std::uint64_t value = 0;  ///< the number, or which symbol
};

/// One system call of a text scenario.
struct TextStep {
  std::size_t number = 0;  ///< of the file's calls, from 0
  unsigned line = 0;
  unsigned round = 0;  ///< within `repeat`, from 1; else 0
  const CallRow* call = nullptr;
  std::vector<std::string> texts;       ///< of calls that take a path or a text
  std::vector<TextArgument> arguments;  ///< in the row's order of parameters, fallbacks filled in
  std::uint32_t target = 0;             ///< the symbol of the descriptor it is made on
  std::uint32_t result = 0;             ///< the symbol that its answer is kept in; 0: none
  std::vector<std::string> expected;    ///< "ok" or names of errnos; empty: any answer
  /// `if NAME ok|refused`: the symbol that must be something, or nothing; 0: it is made anyhow.
  std::uint32_t condition = 0;
  bool if_refused = false;
  std::uint32_t kills = 0;  ///< of `kill`: the process
};

/// What one task does, one call after the other.
struct TextPart {
  std::string name;
  std::uint32_t process = 0;
  std::vector<TextStep> steps;
};

/// A schedule of the file, `replay CHOICES [FIRMWARE…]`.
struct TextReplay {
  KeptSchedule schedule;
  std::vector<machine::TsmKind> firmware;  ///< it is for these; empty: for all
};

/// A scenario that a user wrote: docs/explore.md has the grammar.
struct TextScenario {
  std::string name;
  std::string description;
  std::vector<machine::TsmKind> firmware;  ///< empty: all
  Expectation expectation;
  std::vector<TextReplay> replays;
  std::uint32_t failures = 0;
  std::string fails;  ///< the firmware's command that may fail; empty: each
  unsigned fails_line = 0;
  bool connected = true;
  bool two_cards = false;
  /// Policies in place of the design's: keys and values of a machine file's [policies].
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<TextPart> setup;
  std::vector<TextPart> threads;
  std::vector<TextPart> finish;
  std::uint32_t processes = 1;
  std::uint32_t symbols = 1;  ///< numbers in use, 0 being none
};

// What a file may have: more would not be explored in a lifetime.
inline constexpr std::size_t kMaxTextBytes = 64 * 1024;
inline constexpr std::size_t kMaxTextThreads = 8;
inline constexpr std::size_t kMaxTextSteps = 256;
inline constexpr std::size_t kMaxTextProcesses = 8;
inline constexpr std::size_t kMaxTextReplays = 16;
inline constexpr std::uint64_t kMaxTextRounds = 64;  ///< of one `repeat`

/// Reads a scenario. The error is ready to print: file, line, column, what is
/// wrong and what is allowed there.
[[nodiscard]] std::expected<TextScenario, std::string> parse_text_scenario(
    std::string_view text, std::string_view file_name);
[[nodiscard]] std::expected<TextScenario, std::string> load_text_scenario(const std::string& path);

[[nodiscard]] bool applies(const TextScenario& scenario, const machine::Config& design);
/// Whether a machine of the design can have every state that `holds` names, with the value
/// that it is to have, and a command as `fail` names that can fail. The error is ready to
/// print, with the nearest that there is. On a machine made for it, natively.
[[nodiscard]] std::expected<void, std::string> check_names(const TextScenario& scenario,
                                                           const machine::Config& design,
                                                           const std::string& file_name);
/// The design's machine as the scenario wants it.
[[nodiscard]] machine::Config machine_of(const TextScenario& scenario,
                                         const machine::Config& design);
/// `scenario` on `design`, named "NAME@DESIGN". Lifetime: both may go.
[[nodiscard]] Scenario make_scenario(const TextScenario& scenario, const machine::Config& design);

}  // namespace teeio::explore
