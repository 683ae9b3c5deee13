#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace teeio::evidence {

/// Text of another party, for JSON and for terminals: ASCII that can be printed, the rest
/// as \xNN.
inline std::string safe(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20 && octet < 0x7f && c != '\\')
      out += c;
    else
      out += fmt::format("\\x{:02x}", octet);
  }
  return out;
}

}  // namespace teeio::evidence
