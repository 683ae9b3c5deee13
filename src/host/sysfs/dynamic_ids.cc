#include "host/sysfs/dynamic_ids.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace teeio::sysfs {
namespace {

constexpr std::size_t kFields = 7;

bool is_hex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

unsigned digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  return static_cast<unsigned>(std::tolower(static_cast<unsigned char>(c)) - 'a') + 10;
}

/// One %x or %lx of vsscanf(), which takes it off `text`. What does not fit wraps.
std::optional<std::uint64_t> take_hex(std::string_view& text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
  if (text.empty() || !is_hex(text.front())) return std::nullopt;
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  std::uint64_t value = 0;
  for (; !text.empty() && is_hex(text.front()); text.remove_prefix(1))
    value = value << 4U | digit(text.front());
  return value;
}

bool same_or_any(std::uint32_t wanted, std::uint32_t value) {
  return wanted == DynamicId::kAny || wanted == value;
}

}  // namespace

bool DynamicId::matches(const DynamicId& function) const {
  return same_or_any(vendor, function.vendor) && same_or_any(device, function.device) &&
         same_or_any(subvendor, function.subvendor) && same_or_any(subdevice, function.subdevice) &&
         ((class_code ^ function.class_code) & class_mask) == 0;
}

DynamicId DynamicId::of(const PciIdentity& function) {
  return {.vendor = function.vendor,
          .device = function.device,
          .subvendor = function.subsystem_vendor,
          .subdevice = function.subsystem_device,
          .class_code = function.class_code,
          .class_mask = 0};
}

std::optional<WrittenId> parse_dynamic_id(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  WrittenId written;
  DynamicId& id = written.id;
  const std::array words{&id.vendor,    &id.device,     &id.subvendor,
                         &id.subdevice, &id.class_code, &id.class_mask};
  for (; written.fields < kFields; ++written.fields) {
    const auto value = take_hex(text);
    if (!value) break;
    if (written.fields < words.size())
      *words[written.fields] = static_cast<std::uint32_t>(*value);
    else
      written.driver_data = *value;
  }
  if (written.fields < 2) return std::nullopt;
  return written;
}

bool DynamicIds::add(const DynamicId& id, bool unique) {
  if (unique && match(id)) return false;
  ids_.push_back(id);
  return true;
}

bool DynamicIds::remove(const DynamicId& id) {
  const auto found = std::ranges::find_if(ids_, [&](const DynamicId& kept) {
    return kept.vendor == id.vendor && kept.device == id.device &&
           same_or_any(id.subvendor, kept.subvendor) && same_or_any(id.subdevice, kept.subdevice) &&
           ((kept.class_code ^ id.class_code) & id.class_mask) == 0;
  });
  if (found == ids_.end()) return false;
  ids_.erase(found);
  return true;
}

bool DynamicIds::match(const DynamicId& function) const {
  return std::ranges::any_of(ids_, [&](const DynamicId& id) { return id.matches(function); });
}

}  // namespace teeio::sysfs
