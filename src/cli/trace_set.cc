#include "cli/trace_set.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "base/nearest.h"
#include "entry/support.h"
#include "run/plain_text.h"

namespace teeio::cli {
namespace {

constexpr std::array<std::string_view, 5> kGroups = {"all", "none", "%file", "%desc", "%ioctl"};

const run::Row* find_call(std::string_view name) {
  const auto rows = run::rows();
  const auto row = std::ranges::find(rows, name, &run::Row::name);
  return row != rows.end() && run::has_line(*row) ? &*row : nullptr;
}

bool takes_path(std::string_view call) {
  const run::Row* const row = find_call(call);
  return row != nullptr && run::path_argument(*row).has_value();
}

std::set<std::string> ioctl_names() {
  std::set<std::string> names;
  for (const auto profile : abi::kAbiProfiles)
    for (const entry::SupportRow& row : entry::support_table(profile)) names.emplace(row.name);
  return names;
}

bool matches(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

bool admits(const std::string& word, std::string_view call, std::string_view ioctl) {
  if (word == "all") return true;
  if (word == "none") return false;
  if (word == "%file") return takes_path(call);
  if (word == "%desc") return !takes_path(call);
  if (word == "%ioctl") return call == "ioctl";
  return word == call || (!ioctl.empty() && matches(word, std::string(ioctl)));
}

/// What is wrong with a word; empty if nothing is.
std::string problem_of(const std::string& word, const std::set<std::string>& ioctls) {
  if (std::find(kGroups.begin(), kGroups.end(), word) != kGroups.end()) return {};
  if (find_call(word) != nullptr) return {};
  if (std::ranges::any_of(ioctls, [&](const auto& name) { return matches(word, name); })) return {};
  if (word.starts_with('!'))
    return fmt::format("'{}': a ! stands before the whole set, as in trace=!ioctl,close", word);
  std::vector<std::string> known(ioctls.begin(), ioctls.end());
  for (const run::Row& row : run::rows())
    if (run::has_line(row)) known.emplace_back(row.name);
  known.insert(known.end(), kGroups.begin(), kGroups.end());
  const std::string near = nearest(word, known);
  return fmt::format("'{}' is no call with a line, no group ({}) and no ioctl{}", word,
                     fmt::join(kGroups, ", "),
                     near.empty() ? "" : fmt::format("; is it '{}'?", near));
}

}  // namespace

std::expected<TraceSet, std::string> parse_trace_set(std::string_view text) {
  constexpr std::string_view kQualifier = "trace=";
  if (text.starts_with(kQualifier)) text.remove_prefix(kQualifier.size());
  if (text.find('=') != std::string_view::npos)
    return std::unexpected(fmt::format("'{}': there is trace=SET only", text));
  const bool all_but = text.starts_with('!');
  if (all_but) text.remove_prefix(1);
  const std::set<std::string> ioctls = ioctl_names();
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    words.emplace_back(text.substr(at, end - at));
    if (std::string why = problem_of(words.back(), ioctls); !why.empty())
      return std::unexpected(std::move(why));
    at = end + 1;
  }
  return [words = std::move(words), all_but](std::string_view call, std::string_view ioctl) {
    return all_but != std::ranges::any_of(words, [&](const std::string& word) {
             return admits(word, call, ioctl);
           });
  };
}

}  // namespace teeio::cli
