#include "decode/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/hex.h"

namespace teeio::decode {
namespace {

constexpr std::size_t kShown = 8;  ///< bytes of a long value on one line

void append_in_base(std::string& out, std::uint64_t value, int base) {
  std::array<char, 20> digits;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
  out.append(digits.data(), end);
}

}  // namespace

void Field::append_to(std::string& line) const {
  if (form == Form::kSize) {
    append_in_base(line, view().size(), 10);
    line += " bytes";
  } else if (form == Form::kBytes && view().size() > kShown) {
    append_hex(line, view().first(kShown));
    line += "…(";
    append_in_base(line, view().size(), 10);
    line += ')';
  } else {
    append_whole_to(line);
  }
}

void Field::append_whole_to(std::string& out) const {
  switch (form) {
    case Form::kWord:
      out += word;
      return;
    case Form::kHexNumber:
      out += "0x";
      return append_in_base(out, number, 16);
    case Form::kNumber:
      return append_in_base(out, number, 10);
    case Form::kBytes:
    case Form::kSize:
      return append_hex(out, view());
  }
}

void Fields::number(std::string_view name, std::uint64_t value) {
  fields_.push_back({.name = std::string(name), .form = Field::Form::kNumber, .number = value});
}

void Fields::hex_number(std::string_view name, std::uint64_t value) {
  fields_.push_back({.name = std::string(name), .form = Field::Form::kHexNumber, .number = value});
}

void Fields::word(std::string_view name, std::string_view value) {
  fields_.push_back({.name = std::string(name), .word = std::string(value)});
}

void Fields::version(std::string_view name, std::uint8_t value) {
  std::string text;
  append_in_base(text, value >> 4U, 10);
  text += '.';
  append_in_base(text, value & 0xfU, 10);
  fields_.push_back({.name = std::string(name), .word = std::move(text)});
}

void Fields::flag(std::string_view name, bool holds) {
  if (holds) word(name, "yes");
}

void Fields::bytes(std::string_view name, ByteView value) {
  if (value.empty()) return;
  add_bytes(name, Field::Form::kBytes, value);
}

void Fields::size(std::string_view name, ByteView value) {
  if (value.empty()) return;
  add_bytes(name, Field::Form::kSize, value);
}

void Fields::add_bytes(std::string_view name, Field::Form form, ByteView value) {
  fields_.push_back(
      {.name = std::string(name),
       .form = form,
       .word = std::string(reinterpret_cast<const char*>(value.data()), value.size())});
}

void Fields::key(std::string_view name, ByteView value) {
  if (show_keys_) return bytes(name, value);
  word(name, fmt::format("({} bytes hidden)", value.size()));
}

}  // namespace teeio::decode
