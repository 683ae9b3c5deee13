// Machine files by path, and built-in machines by name.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "base/files.h"
#include "machine/config.h"

namespace teeio::machine {
namespace {

/// A pipe and standard input can be read once: who loads them again has what was read. One task
/// of a process loads machines.
std::expected<std::string, std::string> text_of(const std::string& path) {
  constexpr std::size_t kMostOfAMachine = std::size_t{1} << 20U;
  static std::map<std::string, std::string> streams;
  if (const auto read = streams.find(path); read != streams.end()) return read->second;
  auto text = read_file(path, kMostOfAMachine);
  std::error_code ignored;
  if (text && (path == "-" || !std::filesystem::is_regular_file(path, ignored)))
    streams.emplace(path, *text);
  return text;
}

}  // namespace

std::expected<Config, std::string> load_config(const std::string& path) {
  const auto text = text_of(path);
  if (!text) return std::unexpected(text.error());
  return parse_config(*text, path == "-" ? "standard input" : path);
}

namespace {

/// Whether the word stands in the name: "cca" in "arm-cca-slice".
bool has_word(std::string_view name, std::string_view word) {
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t to = std::min(name.find('-', from), name.size());
    if (name.substr(from, to - from) == word) return true;
    from = to + 1;
  }
  return false;
}

}  // namespace

std::string_view builtin_name(std::string_view name_or_word) {
  const std::string_view name = name_or_word.empty() ? kDefaultMachine : name_or_word;
  std::string_view meant;
  for (const std::string_view known : builtin_machines()) {
    if (known == name) return known;
    if (!has_word(known, name)) continue;
    if (!meant.empty()) return {};  // which of them?
    meant = known;
  }
  return meant;
}

std::expected<Config, std::string> find_config(const std::string& name_or_path) {
  const std::string_view name =
      name_or_path.empty() ? kDefaultMachine : std::string_view(name_or_path);
  const std::string_view builtin = builtin_machine(name);
  if (!builtin.empty()) return parse_config(builtin, name);
  auto config = load_config(name_or_path);
  // A word without a slash or an ending is meant as a name.
  if (config || name == "-" || name.find_first_of("./") != std::string_view::npos) return config;
  if (const std::string_view meant = builtin_name(name); !meant.empty())
    return parse_config(builtin_machine(meant), meant);
  std::error_code ignored;
  if (std::filesystem::exists(name_or_path, ignored)) return config;  // a file was meant
  return std::unexpected(
      fmt::format("{}; built in are {}", config.error(), fmt::join(builtin_machines(), ", ")));
}

}  // namespace teeio::machine
