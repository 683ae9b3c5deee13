#include "decode/message.h"

#include <fmt/format.h>

#include "base/hex.h"

namespace teeio::decode {
namespace {

constexpr std::size_t kShown = 8;  ///< bytes of a long value on one line

}  // namespace

void Fields::number(std::string_view name, std::uint64_t value) {
  fields_.push_back({std::string(name), fmt::format("{}", value), {}, value});
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
  Field field{std::string(name), to_hex(value.first(std::min(value.size(), kShown))), {}, {}};
  if (value.size() > kShown) {
    field.full = to_hex(value);
    field.text += fmt::format("…({})", value.size());
  }
  if (!value.empty()) fields_.push_back(std::move(field));
}

void Fields::size(std::string_view name, ByteView value) {
  if (value.empty()) return;
  fields_.push_back({std::string(name), fmt::format("{} bytes", value.size()), to_hex(value), {}});
}

void Fields::key(std::string_view name, ByteView value) {
  if (show_keys_) return bytes(name, value);
  fields_.push_back({std::string(name), fmt::format("({} bytes hidden)", value.size()), {}, {}});
}

}  // namespace teeio::decode
