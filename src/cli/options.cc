#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "base/nearest.h"
#include "cli/help_text.h"
#include "cli/print.h"

namespace teeio::cli {
namespace {

constexpr char kGuard = '\x01';
constexpr std::string_view kEndOfOptions = "--";

bool bracketed(const std::string& word) { return word.starts_with('[') && word.ends_with(']'); }

/// CLI11 takes "[a,b]" apart where several words are possible: kept from it.
std::string guarded(const std::string& word) { return bracketed(word) ? kGuard + word : word; }

/// What is read by its caller, if it should be read at all.
bool looks_like_option(const std::string& word) { return word.size() > 1 && word.front() == '-'; }

/// Behind "--", which goes, no word is an option. CLI11 leaves the command at it.
void end_options(std::vector<std::string>& words) {
  const auto mark = std::ranges::find(words, kEndOfOptions);
  if (mark == words.end()) return;
  for (std::string& word : std::ranges::subrange(words.erase(mark), words.end()))
    if (looks_like_option(word)) word.insert(word.begin(), kGuard);
}
std::string unguarded(const std::string& word) {
  return word.starts_with(kGuard) ? word.substr(1) : word;
}

/// "--name=VALUE" without the value.
std::string option_part(const std::string& word) { return word.substr(0, word.find('=')); }

/// What messages call it: "--verbose", of a short one "-v", of a word "FILE".
std::string main_name(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) return "-" + option.get_snames().front();
  return option.get_name(true);
}

}  // namespace

// ---- Option

Option::Option(CLI::Option* raw, std::string default_text, Take take)
    : raw_(raw),
      name_(main_name(*raw)),
      default_text_(std::move(default_text)),
      take_(std::move(take)) {}

Option& Option::value_name(const std::string& name) {
  raw_->type_name(name);
  return *this;
}

Option& Option::choices(std::vector<std::string> words) {
  raw_->type_name(fmt::format("{{{}}}", fmt::join(words, ",")));
  choices_ = std::move(words);
  return *this;
}

Option& Option::range(std::uint64_t least, std::uint64_t most) {
  range_ = {least, most};
  return *this;
}

Option& Option::collects() {
  raw_->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return *this;
}

Option& Option::needs_text() {
  needs_text_ = true;
  return *this;
}

Option& Option::comma_separated() {
  commas_ = true;
  return *this;
}

Option& Option::shows_default() {
  raw_->default_str(default_text_);
  return *this;
}

Option& Option::required() {
  required_ = true;
  raw_->required();
  return *this;
}

Option& Option::group(const std::string& heading) {
  raw_->group(heading);
  return *this;
}

Option& Option::needs(const Option& other) {
  needs_.push_back(&other);
  raw_->needs(other.raw_);
  return *this;
}

Option& Option::excludes(const Option& other) {
  excludes_.push_back(&other);
  return *this;
}

Option& Option::alone_but_for(std::vector<const Option*> others) {
  alone_but_for_ = std::move(others);
  return *this;
}

Option& Option::shown_as(const std::string& text) {
  raw_->option_text(text);
  return *this;
}

bool Option::given() const { return raw_->count() > 0; }

// ---- Command: declaring

Command::Command(std::string path, CLI::App* raw) : path_(std::move(path)), raw_(raw) {
  raw_->allow_extras();  // they are named in our words
}

Command& Command::command(const std::string& name, const std::string& help) {
  CLI::App* const below = raw_->add_subcommand(name, help);
  raw_->require_subcommand(body_ ? 0 : 1, 1);
  return commands_.emplace_back(path_.empty() ? name : path_ + ' ' + name, below);
}

Option& Command::add(const std::string& names, const std::string& help,
                     const std::string& default_text, Option::Take take) {
  const std::size_t index = options_.size();
  CLI::Option* const raw = raw_->add_option(names, [this, index](CLI::results_t words) {
    for (std::string& word : words) word = unguarded(word);
    if (std::string why = options_[index].read(words); !why.empty() && problem_.empty())
      problem_ = std::move(why);
    return true;
  });
  raw->description(help);
  raw->type_name("TEXT");
  raw->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  return options_.emplace_back(raw, default_text, std::move(take));
}

Option& Command::add_flag(const std::string& names, const std::string& help, Option::Take take) {
  Option& option = add(names, help, "", std::move(take));
  option.raw_->expected(0);
  option.raw_->type_name("");
  option.raw_->type_size(0);
  return option;
}

Option& Command::positional(const std::string& name, std::string& value, const std::string& help) {
  return option(name, value, help).value_name("");
}

Option& Command::positionals(const std::string& name, std::vector<std::string>& values,
                             const std::string& help) {
  Option& option = this->option(name, values, help).value_name("");
  option.raw_->expected(CLI::detail::expected_max_vector_size);
  return option;
}

void Command::program(const std::string& name, std::vector<std::string>& words,
                      const std::string& help) {
  positionals(name, unseen_, help).needs_text_ = false;  // the program's own affair
  program_ = &words;
}

void Command::runs(std::function<int()> body) {
  body_ = std::move(body);
  if (!commands_.empty()) raw_->require_subcommand(0, 1);
}

// ---- Command: what is wrong

const Command* Command::chosen() const {
  for (const Command& below : commands_)
    if (below.raw_->parsed()) return below.chosen();
  return this;
}

std::vector<std::string> Command::command_names() const {
  std::vector<std::string> names;
  for (const Command& below : commands_) names.push_back(below.raw_->get_name());
  return names;
}

std::string Command::why_unknown(const std::string& word) const {
  if (looks_like_option(word)) {
    const std::string given = option_part(word);
    std::vector<std::string> known;
    for (const CLI::Option* option : raw_->get_options())
      for (const std::string& name : option->get_lnames()) known.push_back(name);
    const std::string near =
        nearest(given.substr(std::min(given.find_first_not_of('-'), given.size())), known);
    const bool in_front = path_.empty() && chosen() != this;
    return fmt::format("there is no option '{}'{}{}", given,
                       in_front ? " in front of the command" : "",
                       near.empty() ? "" : fmt::format("; is it '--{}'?", near));
  }
  if (commands_.empty() || !options_.empty()) return fmt::format("'{}' is a word too many", word);
  const std::string near = nearest(word, command_names());
  return fmt::format("there is no command '{}'; {}", word,
                     near.empty()
                         ? "there are " + fmt::format("{}", fmt::join(command_names(), ", "))
                         : fmt::format("is it '{}'?", near));
}

std::string Command::why_wrong() const {
  for (const std::string& word : raw_->remaining()) return why_unknown(unguarded(word));
  if (!problem_.empty()) return problem_;
  for (const Option& option : options_) {
    if (option.required_ && !option.given()) return option.name_ + " is missing";
    for (const Option* other : option.needs_)
      if (option.given() && !other->given())
        return fmt::format("{} needs {}", option.name_, other->name_);
  }
  if (std::string why = why_idle(); !why.empty()) return why;
  if (program_ == nullptr) return {};
  // What stands in front of the program and CLI11 takes for its begin: "---", "-5".
  if (!unseen_.empty()) return why_unknown(unseen_.front());
  if (program_->empty()) return options_.back().name_ + " is missing";
  if (program_->front().empty())
    return options_.back().name_ + ": needs a value, and has an empty one";
  return {};
}

/// What was given and would change nothing.
std::string Command::why_idle() const {
  for (const Option& option : options_) {
    if (!option.given()) continue;
    for (const Option* other : option.excludes_)
      if (other->given())
        return fmt::format("{} and {} exclude each other", option.name_, other->name_);
    if (!option.alone_but_for_) continue;
    for (const Option& other : options_)
      if (&other != &option && other.given() &&
          std::ranges::find(*option.alone_but_for_, &other) == option.alone_but_for_->end())
        return fmt::format("{} changes nothing with {}", other.name_, option.name_);
  }
  return {};
}

/// What was given to this command and not to `below`, which is what is done.
std::string Command::why_not_above(const Command& below) const {
  for (const Option& option : options_)
    if (option.given()) return fmt::format("{} changes nothing with {}", option.name_, below.path_);
  return {};
}

/// Whether the value of option `word` is the next word. The last letter of "-vo" may have
/// its value there.
bool Command::takes_next_word(const std::string& word) const {
  const auto takes_value = [this](const std::string& name) {
    const CLI::Option* const option = raw_->get_option_no_throw(name);
    return option != nullptr && option->get_items_expected_min() > 0;
  };
  if (word.starts_with("--")) return takes_value(word);
  if (word.size() > 2 && takes_value(word.substr(0, 2))) return false;
  return takes_value(std::string("-") + word.back());
}

std::size_t Command::program_begin(const std::vector<std::string>& words, std::size_t at) const {
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == kEndOfOptions || !looks_like_option(word)) return at;
    if (takes_next_word(word)) ++at;
  }
  return words.size();
}

std::string Command::why_not_options(const std::vector<std::string>& words) const {
  const std::size_t end = program_begin(words, 0);
  if (end != words.size())
    return words[end] == "--" ? "has options only: no -- and no program"
                              : fmt::format("has options only, and '{}' is no option", words[end]);
  // The last word may be a value itself.
  const bool open = !words.empty() && takes_next_word(words.back()) &&
                    (words.size() == 1 || !takes_next_word(words[words.size() - 2]));
  return open ? words.back() + " needs a value" : std::string();
}

// ---- CommandLine

CommandLine::CommandLine(const std::string& description, std::string version)
    : version_(std::move(version)),
      app_(std::make_unique<CLI::App>(description, "teeio")),
      root_("", app_.get()) {
  app_->set_help_flag("-h,--help", "Print this help and exit");
  app_->set_version_flag("-V,--version", version_, "Print the version and exit");
}

CommandLine::~CommandLine() = default;

int CommandLine::help_for(const std::vector<std::string>& names) const {
  const Command* command = &root_;
  std::string path;
  for (const std::string& name : names) {
    const auto below = std::ranges::find_if(
        command->commands_, [&](const Command& c) { return c.raw_->get_name() == name; });
    if (below == command->commands_.end())
      return wrong_use(command->path_, command->commands_.empty()
                                           ? fmt::format("'{}' is a word too many", name)
                                           : command->why_unknown(name));
    path += path.empty() ? "teeio" : ' ' + command->raw_->get_name();
    command = &*below;
  }
  app_->clear();  // else it prints the help of `help`
  print("{}", fit_help(command->raw_->help(path)));
  return 0;
}

std::string CommandLine::read(std::vector<std::string> words, bool& done) {
  const auto name = std::ranges::find_if_not(words, looks_like_option);
  const auto at = static_cast<std::size_t>(name - words.begin());
  for (const Command& command : root_.commands_) {
    if (name == words.end() || command.program_ == nullptr || command.raw_->get_name() != *name)
      continue;
    const auto begin =
        words.begin() + static_cast<std::ptrdiff_t>(command.program_begin(words, at + 1));
    const bool marked = begin != words.end() && *begin == "--";
    command.program_->assign(marked ? begin + 1 : begin, words.end());
    words.erase(begin, words.end());
    break;
  }
  end_options(words);
  // CLI11 would take the next word as the value of "--name=".
  std::string mismatch;
  std::erase_if(words, [&](const std::string& word) {
    const bool empty = word.starts_with("--") && word.find('=') + 1 == word.size();
    if (empty) mismatch = option_part(word) + " needs a value";
    return empty;
  });
  const std::string last = words.empty() ? "" : words.back();
  std::ranges::reverse(words);  // as CLI11 wants them
  for (std::string& word : words) word = guarded(word);
  try {
    app_->parse(words);
  } catch (const CLI::CallForHelp&) {
    print("{}", fit_help(app_->help()));
    done = true;
  } catch (const CLI::CallForVersion&) {
    print("{}\n", version_);
    done = true;
  } catch (const CLI::ArgumentMismatch&) {  // an option at the end, that needs a value
    return last + " needs a value";
  } catch (const CLI::RequiredError&) {  // what is missing is said in our words
  } catch (const CLI::RequiresError&) {
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return mismatch;
}

int CommandLine::run(std::vector<std::string> words) {
  root_.command("help", "Print the help of a command").runs([this] {
    return help_for(help_names_);
  });
  root_.commands_.back().positionals("COMMAND", help_names_, "The command, and the one below it");
  root_.command("version", "Print the version").runs([this] {
    print("{}\n", version_);
    return 0;
  });
  bool done = false;
  const std::string mismatch = read(std::move(words), done);
  if (done) return 0;
  const Command* const command = root_.chosen();
  if (std::string why = root_.why_wrong(); !why.empty()) return wrong_use("", why);
  if (!mismatch.empty()) return wrong_use(command->path_, mismatch);
  for (const Command* c = &root_; c != command;) {
    // Words between a command and the one below it.
    const auto below = std::ranges::find_if(
        c->commands_, [](const Command& child) { return child.raw_->parsed(); });
    if (std::string why = c->why_not_above(*below); !why.empty()) return wrong_use(c->path_, why);
    if (std::string why = below->why_wrong(); !why.empty()) return wrong_use(below->path_, why);
    c = &*below;
  }
  if (!command->body_)
    return wrong_use(command->path_,
                     fmt::format("a command is missing: {}", any_of(command->command_names())));
  return command->body_();
}

}  // namespace teeio::cli
