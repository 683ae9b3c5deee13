#include "rules/suppressions.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <numeric>
#include <set>

#include "rules/selection.h"

namespace teeio::rules {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool matches(const std::string& pattern, const std::string& text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

/// An entry of which not all lines are read.
struct Open {
  Suppression entry;
  std::set<std::string_view> keys;
  /// Whether it says anything of the reports that it is for.
  [[nodiscard]] bool picks() const { return keys.size() > keys.count("note"); }
};

/// "key: value" into the entry. Gives what is wrong with the line, if anything.
std::string set_field(Open& open, std::string_view line) {
  Suppression& entry = open.entry;
  const std::size_t colon = line.find(':');
  const std::string_view key = trim(line.substr(0, colon));
  const std::string_view value =
      colon == std::string_view::npos ? std::string_view{} : trim(line.substr(colon + 1));
  if (value.empty())
    return fmt::format(
        "'{}' is no line of an entry: those are rule, function, sentence and note, "
        "each with a colon and a value",
        line);
  if (!open.keys.insert(key).second) return fmt::format("the entry has a '{}' already", key);
  if (key == "rule") {
    entry.rule = rule_of(value);
    return entry.rule ? ""
                      : fmt::format("there is no rule '{}': they are R1 to R{}", value, kRuleCount);
  }
  std::string* const field = key == "function"   ? &entry.function
                             : key == "sentence" ? &entry.sentence
                             : key == "note"     ? &entry.note
                                                 : nullptr;
  if (field == nullptr)
    return fmt::format("an entry has no '{}': it has rule, function, sentence and note", key);
  *field = value;
  return {};
}

bool covers(const Suppression& entry, const Violation& violation) {
  if (entry.rule && *entry.rule != violation.rule) return false;
  const std::string function = violation.function ? violation.function->str() : std::string{};
  return matches(entry.function, function) && matches(entry.sentence, violation.what);
}

}  // namespace

std::expected<void, std::string> Suppressions::add(std::string_view text, std::string_view file) {
  std::optional<Open> open;
  unsigned number = 0;
  const auto wrong = [&](std::string_view what) {
    return std::unexpected(fmt::format("{}:{}: {}", file, number, what));
  };
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    if (!open) {
      if (line != "{") return wrong("an entry starts with a line '{'");
      open.emplace();
      open->entry.place = fmt::format("{}:{}", file, number);
    } else if (line == "}") {
      if (open->entry.name.empty()) return wrong("the entry has no name: its first line");
      if (!open->picks())
        return wrong(fmt::format(
            "the entry '{}' would cover every report: below its name it has no rule, function or "
            "sentence",
            open->entry.name));
      all_.push_back(std::move(open->entry));
      open.reset();
    } else if (open->entry.name.empty()) {
      open->entry.name = line;
    } else if (const std::string problem = set_field(*open, line); !problem.empty()) {
      return wrong(problem);
    }
  }
  if (open) return wrong("the last entry has no '}'");
  return {};
}

bool Suppressions::covers(const Violation& violation) {
  for (Suppression& entry : all_)
    if (rules::covers(entry, violation)) {
      ++entry.used;
      return true;
    }
  return false;
}

std::uint64_t Suppressions::used() const {
  return std::accumulate(
      all_.begin(), all_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const Suppression& entry) { return sum + entry.used; });
}

std::string unused_text(const Suppressions& suppressions) {
  std::string out;
  for (const Suppression& entry : suppressions.all())
    if (entry.used == 0)
      out += fmt::format("teeio: {}: the suppression '{}' was not used\n", entry.place, entry.name);
  return out;
}

}  // namespace teeio::rules
