#include "cli/help_text.h"

#include <algorithm>
#include <string_view>

#include "report/wrap.h"

namespace teeio::cli {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kMeaning = 30;  ///< where CLI11's formatter begins what an option means

/// Where in the line words begin that may go on below themselves; npos: nowhere.
std::size_t begin_of_words(std::string_view line) {
  if (!line.starts_with(' ')) return line.starts_with("Usage:") ? std::string_view::npos : 0;
  const bool has_meaning = line.size() > kMeaning && line[kMeaning - 1] == ' ' &&
                           line[kMeaning - 2] == ' ' && line[kMeaning] != ' ';
  return has_meaning ? kMeaning : std::string_view::npos;
}

std::string fit_line(std::string_view line) {
  const std::size_t begin = begin_of_words(line);
  if (report::columns_of(line) <= kColumns || begin == std::string_view::npos)
    return std::string(line) + '\n';
  std::string out(line.substr(0, begin));
  for (const std::string& part : report::wrap(line.substr(begin), kColumns - begin)) {
    if (out.ends_with('\n')) out.append(begin, ' ');
    out += part + '\n';
  }
  return out;
}

}  // namespace

std::string fit_help(const std::string& help) {
  std::string out;
  for (std::size_t at = 0; at < help.size();) {
    const std::size_t end = std::min(help.find('\n', at), help.size());
    out += fit_line(std::string_view(help).substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace teeio::cli
