#include "report/wrap.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace teeio::report {
namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }

/// The bytes of the first `width` columns of `text`.
std::size_t bytes_of(std::string_view text, std::size_t width) {
  std::size_t at = 0;
  for (std::size_t column = 0; at < text.size(); ++at)
    if (begins_character(text[at]) && column++ == width) break;
  return at;
}

}  // namespace

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string printable(std::string_view text) {
  std::string out(text);
  const bool ascii = std::all_of(out.begin(), out.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!ascii) {
    using nlohmann::json;
    const std::string valid = json(out).dump(-1, ' ', false, json::error_handler_t::replace);
    out = json::parse(valid).get<std::string>();
  }
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }, '?');
  return out;
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  width = std::max<std::size_t>(width, 1);
  std::vector<std::string> lines{""};
  while (!text.empty()) {
    std::size_t end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    const bool whole = columns_of(word) <= width;
    if (!whole) {
      end = bytes_of(word, width);
      word = word.substr(0, end);
    }
    text.remove_prefix(whole ? std::min(end + 1, text.size()) : end);
    const bool fits = columns_of(lines.back()) + 1 + columns_of(word) <= width;
    if (!lines.back().empty() && !fits) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

}  // namespace teeio::report
