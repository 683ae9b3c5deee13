#include "explore/jobs/xml.h"

#include <nlohmann/json.hpp>

namespace teeio::explore {

using nlohmann::json;

std::string valid_utf8(std::string_view text) {
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace))
      .get<std::string>();
}

std::string xml(std::string_view text) {
  constexpr unsigned char kFirstPrintable = 0x20;
  std::string out;
  for (const char c : valid_utf8(text)) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) < kFirstPrintable && c != '\n')
      out += '?';
    else
      out += c;
  }
  return out;
}

}  // namespace teeio::explore
