#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace teeio {
namespace {

constexpr unsigned char kFirstPrintable = 0x20;
constexpr unsigned char kDelete = 0x7f;

constexpr std::uint64_t in_each_byte(std::uint64_t byte) { return byte * 0x0101010101010101U; }

/// Whether one of eight bytes is zero (a byte above a zero one may be called so too).
constexpr bool has_zero(std::uint64_t eight) {
  return ((eight - in_each_byte(0x01)) & ~eight & in_each_byte(0x80)) != 0;
}

/// Length of a part at the front in which nothing needs a closer look, eight bytes at a time.
std::size_t plain_length(std::string_view text) {
  std::size_t at = 0;
  for (std::uint64_t eight = 0; at + sizeof(eight) <= text.size(); at += sizeof(eight)) {
    std::memcpy(&eight, text.data() + at, sizeof(eight));
    const bool below = ((eight - in_each_byte(0x20)) & ~eight & in_each_byte(0x80)) != 0;
    if (below || has_zero(eight ^ in_each_byte(0x7f)) || has_zero(eight ^ in_each_byte(0xc2)))
      break;
  }
  return at;
}

/// Whether all of it is shown as it is, of what most text consists of: characters but control
/// characters other than ends of lines, and no C1. Several at a time, so nobody stops early.
bool is_plain(std::string_view text) {
  constexpr std::size_t kBlock = 256;
  const auto odd = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < kFirstPrintable) & (byte != '\n');
    return static_cast<unsigned char>(control | (byte == kDelete) | (byte == 0xc2));
  };
  for (; text.size() >= kBlock; text.remove_prefix(kBlock)) {
    unsigned char any = 0;
    for (std::size_t i = 0; i < kBlock; ++i) any |= odd(text[i]);
    if (any != 0) return false;
  }
  return std::ranges::none_of(text, odd);
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < kFirstPrintable || byte == kDelete;
}

/// Length of what `text` begins with if it is a sequence of ours; else 0.
std::size_t our_sequence(std::string_view text) {
  constexpr std::string_view kErase = "\r\x1b[K";
  if (text.starts_with(kErase)) return kErase.size();
  if (!text.starts_with("\x1b[")) return 0;
  const std::size_t end = text.find_first_not_of("0123456789;", 2);
  return end != std::string_view::npos && text[end] == 'm' ? end + 1 : 0;
}

/// C1 in UTF-8: C2 80 to C2 9F, of which some terminals take 9B as ESC [.
bool is_c1(std::string_view text) {
  return text.size() > 1 && text[0] == '\xc2' && static_cast<unsigned char>(text[1]) >= 0x80 &&
         static_cast<unsigned char>(text[1]) < 0xa0;
}

void append_escaped(std::string& out, char c) {
  out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
}

/// Length of the character that `text` begins with; 0 if it is broken.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0U) != 0x80) return 0;
  const bool too_long = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
  const bool none = (first == 0xed && at(1) >= 0xa0) || (first == 0xf4 && at(1) >= 0x90);
  return too_long || none ? 0 : length;
}

}  // namespace

std::string visible(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t plain = plain_length(text);
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    std::size_t take = our_sequence(text);
    if (take == 0 && (!is_control(text[0]) || text[0] == '\n' || text[0] == '\t')) take = 1;
    if (is_c1(text)) take = 0;
    if (take == 0) {
      const std::size_t bad = is_c1(text) ? 2 : 1;
      for (const char c : text.substr(0, bad)) append_escaped(out, c);
      text.remove_prefix(bad);
      continue;
    }
    out += text.substr(0, take);
    text.remove_prefix(take);
  }
  return out;
}

std::string counted(std::uint64_t count, std::string_view word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

std::string shell_word(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos)
    return std::string(word);
  const bool dollar = std::ranges::any_of(word, is_control);
  std::string text = dollar ? "$'" : "'";
  for (const char c : word) {
    if (dollar && is_control(c))
      append_escaped(text, c);
    else if (dollar && (c == '\'' || c == '\\'))
      text.append("\\").append(1, c);
    else if (c == '\'')
      text += "'\\''";
    else
      text += c;
  }
  return text + "'";
}

std::string valid_utf8(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    out += length == 0 ? kReplacement : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string xml_text(std::string_view text) {
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
    else
      out += static_cast<unsigned char>(c) < kFirstPrintable && c != '\n' && c != '\t' ? '?' : c;
  }
  return out;
}

std::string yaml_text(std::string_view text) {
  std::string out = "'";
  for (const char c : valid_utf8(text)) {
    out += c == '\n' ? ' ' : c;
    if (c == '\'') out += c;
  }
  return out + "'";
}

}  // namespace teeio
