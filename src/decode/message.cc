#include "decode/message.h"

#include <fmt/format.h>

#include "base/hex.h"

namespace teeio::decode {
namespace {

constexpr std::size_t kShown = 8;  ///< bytes of a long value on one line

}  // namespace

std::string Field::full() const { return whole.empty() ? text : to_hex(whole); }

void Fields::number(std::string_view name, std::uint64_t value) {
  fields_.push_back({std::string(name), std::to_string(value), {}, value});
}

void Fields::hex_number(std::string_view name, std::uint64_t value) {
  fields_.push_back({std::string(name), fmt::format("{:#x}", value), {}, value});
}

void Fields::word(std::string_view name, std::string_view value) {
  fields_.push_back({std::string(name), std::string(value), {}, {}});
}

void Fields::flag(std::string_view name, bool holds) {
  if (holds) fields_.push_back({std::string(name), "yes", {}, {}});
}

void Fields::bytes(std::string_view name, ByteView value) {
  if (value.empty()) return;
  Field field{.name = std::string(name),
              .text = to_hex(value.first(std::min(value.size(), kShown)))};
  if (value.size() > kShown) {
    field.whole.assign(value.begin(), value.end());
    field.text += fmt::format("…({})", value.size());
  }
  fields_.push_back(std::move(field));
}

void Fields::size(std::string_view name, ByteView value) {
  if (value.empty()) return;
  fields_.push_back({.name = std::string(name),
                     .text = fmt::format("{} bytes", value.size()),
                     .whole = Bytes(value.begin(), value.end())});
}

void Fields::key(std::string_view name, ByteView value) {
  if (show_keys_) return bytes(name, value);
  fields_.push_back({std::string(name), fmt::format("({} bytes hidden)", value.size()), {}, {}});
}

}  // namespace teeio::decode
