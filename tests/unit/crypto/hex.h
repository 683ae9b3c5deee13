#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace teeio {

/// The bytes of hexadecimal digits; anything else is skipped.
inline Bytes hex(std::string_view digits) {
  Bytes out;
  int high = -1;
  for (const char c : digits) {
    const std::size_t value =
        std::string_view("0123456789abcdef")
            .find(static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c));
    if (value == std::string_view::npos) continue;
    if (high < 0) {
      high = static_cast<int>(value);
      continue;
    }
    out.push_back(static_cast<std::byte>(static_cast<unsigned>(high) << 4U | value));
    high = -1;
  }
  return out;
}

inline std::string to_hex(ByteView bytes) {
  std::string out;
  for (const std::byte b : bytes) {
    out += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4U];
    out += "0123456789abcdef"[std::to_integer<unsigned>(b) & 0xfU];
  }
  return out;
}

inline ByteView text(std::string_view characters) { return std::as_bytes(std::span(characters)); }

}  // namespace teeio
