#pragma once

#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace teeio::cli {

/// A wrong command line, and whatever teeio cannot do before it has a verdict: as
/// env(1) and timeout(1) have it, no status that a program under `run` usually has.
inline constexpr int kUsageError = 125;

/// Says on stderr what is wrong with the words after `teeio COMMAND`, and where its
/// help is. Gives kUsageError.
int wrong_use(std::string_view command, const std::string& why);

/// One option or positional word of a command, as it is being declared.
///
/// Lifetime: of its command.
class Option {
 public:
  /// Reads one word into where it belongs. Gives what is wrong, or nothing.
  using Take = std::function<std::string(const std::string& word)>;

  Option(CLI::Option* raw, std::string default_text, Take take);

  /// How the help calls the value: "FILE".
  Option& value_name(const std::string& name);
  /// The value is one of these words; another one is refused with the nearest.
  Option& choices(std::vector<std::string> words);
  /// The value is a number in these bounds.
  Option& range(std::uint64_t least, std::uint64_t most);
  /// A value is several, with commas between.
  Option& comma_separated();
  /// The help has the value that counts if none is given.
  Option& shows_default();
  /// A command without this word is refused.
  Option& required();
  /// A heading of its own in the help: options with the same stand together.
  Option& group(const std::string& heading);
  /// Given alone it is refused.
  Option& needs(const Option& other);
  /// Given with `other` it is refused: one of the two would change nothing.
  Option& excludes(const Option& other);
  /// The command does something else: given with any of its options but these, which
  /// still count, it is refused.
  Option& alone_but_for(std::vector<const Option*> others);
  /// The user gave it (after the command line was read).
  [[nodiscard]] bool given() const;

 private:
  friend class Command;
  friend class CommandLine;
  Option& collects();
  Option& needs_text();
  Option& shown_as(const std::string& text);
  [[nodiscard]] std::string read(const std::vector<std::string>& words) const;
  [[nodiscard]] std::string read_one(const std::string& word) const;

  CLI::Option* raw_;
  std::string name_;  ///< "--machine", "FILE": as messages name it
  std::string default_text_;
  Take take_;
  std::vector<std::string> choices_;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> range_;
  std::vector<const Option*> needs_;
  std::vector<const Option*> excludes_;
  std::optional<std::vector<const Option*>> alone_but_for_;
  bool commas_ = false;
  bool needs_text_ = false;  ///< an empty word is a mistake, such as "$UNSET"
  bool required_ = false;
};

/// A command of the command line: what it may be given, and what it does. Options
/// are named as "-v,--verbose"; what they set must outlive the command line. The
/// last of an option that is given twice counts, unless it collects all.
///
/// CLI11 reads the words; only options.cc knows it.
class Command {
 public:
  Command(std::string path, CLI::App* raw);

  /// A command below this one. The reference stays good.
  Command& command(const std::string& name, const std::string& help);

  /// True when it is given.
  Option& flag(const std::string& names, bool& value, const std::string& help);
  /// False when it is given.
  Option& no_flag(const std::string& names, bool& value, const std::string& help);
  /// `--name` or `--name=VALUE`; empty for the first.
  Option& flag_with_value(const std::string& names, std::optional<std::string>& value,
                          const std::string& help);
  Option& option(const std::string& names, std::string& value, const std::string& help);
  Option& option(const std::string& names, std::optional<std::string>& value,
                 const std::string& help);
  Option& option(const std::string& names, double& value, const std::string& help);
  /// Collects the values of all times it is given.
  Option& option(const std::string& names, std::vector<std::string>& values,
                 const std::string& help);
  template <std::unsigned_integral Number>
  Option& option(const std::string& names, Number& value, const std::string& help) {
    return number(
        names, [&value](std::uint64_t n) { value = static_cast<Number>(n); }, std::to_string(value),
        std::numeric_limits<Number>::max(), help);
  }
  template <std::unsigned_integral Number>
  Option& option(const std::string& names, std::optional<Number>& value, const std::string& help) {
    return number(
        names, [&value](std::uint64_t n) { value = static_cast<Number>(n); }, "",
        std::numeric_limits<Number>::max(), help);
  }

  /// A word without a name; those declared first are filled first.
  Option& positional(const std::string& name, std::string& value, const std::string& help);
  /// All the rest of them.
  Option& positionals(const std::string& name, std::vector<std::string>& values,
                      const std::string& help);
  /// The first word that is no option, or the one behind "--", begins a program's
  /// command line, all of which goes to `words` as it is.
  void program(const std::string& name, std::vector<std::string>& words, const std::string& help);

  /// What is wrong with `words` as options alone, each with its value: a word that would
  /// begin a program, a value that is missing. Empty if nothing is.
  [[nodiscard]] std::string why_not_options(const std::vector<std::string>& words) const;

  /// What it does; gives the exit status.
  void runs(std::function<int()> body);

 private:
  friend class Option;
  friend class CommandLine;
  Option& number(const std::string& names, std::function<void(std::uint64_t)> set,
                 const std::string& default_text, std::uint64_t most, const std::string& help);
  Option& add(const std::string& names, const std::string& help, const std::string& default_text,
              Option::Take take);
  Option& add_flag(const std::string& names, const std::string& help, Option::Take take);
  [[nodiscard]] const Command* chosen() const;
  [[nodiscard]] std::string why_wrong() const;
  [[nodiscard]] std::string why_idle() const;
  [[nodiscard]] std::string why_not_above(const Command& below) const;
  [[nodiscard]] std::string why_unknown(const std::string& word) const;
  [[nodiscard]] std::vector<std::string> command_names() const;
  [[nodiscard]] bool takes_next_word(const std::string& word) const;
  [[nodiscard]] std::size_t program_begin(const std::vector<std::string>& words,
                                          std::size_t at) const;

  const std::string path_;  ///< "machine show"; empty: teeio itself
  CLI::App* const raw_;
  std::deque<Option> options_;
  std::deque<Command> commands_;
  std::function<int()> body_;
  std::vector<std::string>* program_ = nullptr;
  std::vector<std::string> unseen_;  ///< what CLI11 has as the program, in its help only
  std::string problem_;              ///< the first value that was wrong
};

/// The whole: `teeio COMMAND …`, with --help, --version and the commands `help` and
/// `version`.
class CommandLine {
 public:
  CommandLine(const std::string& description, std::string version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  [[nodiscard]] Command& root() { return root_; }

  /// Reads the words after "teeio" and does what they ask for. Gives its status, or
  /// kUsageError after saying what is wrong.
  [[nodiscard]] int run(std::vector<std::string> words);

 private:
  [[nodiscard]] int help_for(const std::vector<std::string>& names) const;
  [[nodiscard]] std::string read(std::vector<std::string> words, bool& done);

  const std::string version_;
  std::unique_ptr<CLI::App> app_;
  Command root_;
  std::vector<std::string> help_names_;
};

}  // namespace teeio::cli
