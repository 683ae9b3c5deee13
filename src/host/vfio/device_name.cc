#include "host/vfio/device_name.h"

#include <cctype>

#include "host/vfio/device.h"

// A UUID's text: Linux lib/uuid.c, uuid_parse().

namespace teeio::vfio {
namespace {

constexpr std::string_view kTokenArgument = "vf_token=";
constexpr std::size_t kUuidLength = 36;

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const int lower = std::tolower(static_cast<unsigned char>(c));
  if (lower >= 'a' && lower <= 'f') return static_cast<unsigned>(lower - 'a') + 10U;
  return std::nullopt;
}

/// The first kUuidLength characters of `text`: the bytes in the order of the digits.
std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() < kUuidLength) return std::nullopt;
  Uuid uuid{};
  std::size_t at = 0;
  for (std::size_t byte = 0; byte < uuid.size(); ++byte) {
    if (at == 8 || at == 13 || at == 18 || at == 23)
      if (text[at++] != '-') return std::nullopt;
    const auto high = digit(text[at]);
    const auto low = digit(text[at + 1]);
    if (!high || !low) return std::nullopt;
    uuid.at(byte) = static_cast<std::byte>(*high << 4U | *low);
    at += 2;
  }
  return uuid;
}

}  // namespace

Result<DeviceName> DeviceName::parse(std::string_view text, std::string_view bdf) {
  if (!text.starts_with(bdf)) return DeviceName{};
  std::string_view options = text.substr(bdf.size());
  if (!options.empty() && options.front() != ' ') return DeviceName{};
  DeviceName name{.matches = true};
  while (!options.empty()) {
    if (options.front() == ' ') {
      options.remove_prefix(1);
      continue;
    }
    if (name.token || !options.starts_with(kTokenArgument))
      return fail(Errno::kInval, "a device's name has an option that is unknown or there twice");
    options.remove_prefix(kTokenArgument.size());
    name.token = parse_uuid(options);
    if (!name.token) return fail(Errno::kInval, "a VF token is a UUID");
    options.remove_prefix(kUuidLength);
  }
  return name;
}

Result<bool> Device::match(std::string_view name) {
  TEEIO_ASSIGN(const DeviceName parsed, DeviceName::parse(name, bdf().str()));
  if (!parsed.matches) return false;
  const schedule::Lock lock(set().lock);
  TEEIO_TRY(match_token(parsed.token));
  return true;
}

}  // namespace teeio::vfio
