#include "host/sysfs/char_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>

#include "host/sysfs/numbers.h"
#include "host/sysfs/text.h"

namespace teeio::sysfs {
namespace {

bool is_uuid(std::string_view text) {
  constexpr std::size_t kLength = 36;
  constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
  const auto fits = [&](std::size_t at) {
    const bool is_dash = at == 8 || at == 13 || at == 18 || at == 23;
    return is_dash ? text[at] == '-' : kDigits.contains(text[at]);
  };
  return text.size() == kLength && std::ranges::all_of(std::views::iota(0U, kLength), fits);
}

bool is_word(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  };
  return !text.empty() && std::ranges::all_of(text, fits);
}

/// kobject_action_args(): a UUID, and a KEY=VALUE behind each further blank.
bool are_arguments(std::string_view text) {
  std::size_t blank = text.find(' ');
  if (!is_uuid(text.substr(0, blank))) return false;
  while (blank != std::string_view::npos) {
    text.remove_prefix(blank + 1);
    blank = text.find(' ');
    const std::string_view pair = text.substr(0, blank);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || !is_word(pair.substr(0, equals)) ||
        !is_word(pair.substr(equals + 1)))
      return false;
  }
  return true;
}

}  // namespace

/// kobject_synth_uevent().
Result<void> store_uevent(std::string_view text) {
  constexpr std::array<std::string_view, 8> kActions = {"add",    "remove",  "change", "move",
                                                        "online", "offline", "bind",   "unbind"};
  text = trimmed(text);
  const std::size_t blank = text.find(' ');
  if (std::ranges::find(kActions, text.substr(0, blank)) == kActions.end())
    return fail(Errno::kInval, "uevent takes the name of an action");
  if (blank != std::string_view::npos && !are_arguments(text.substr(blank + 1)))
    return fail(Errno::kInval, "behind the action uevent takes a UUID, and KEY=VALUE");
  return {};  // nobody listens on this machine's netlink
}

void add_written_uevent(NodeList& list, const std::string& directory) {
  list.text(directory + "/uevent", 0200, {}, store_uevent);
}

void add_char_device(NodeList& list, const CharDevice& device) {
  const std::string in_class = fmt::format("/sys/class/{}", device.class_name);
  const std::string numbers = fmt::format("{}:{}", device.major, device.minor);
  list.directory(device.directory);
  list.link(device.directory + "/subsystem", in_class);
  list.text(device.directory + "/dev", 0444,
            [numbers]() -> Result<std::string> { return numbers + "\n"; });
  std::string event =
      fmt::format("MAJOR={}\nMINOR={}\nDEVNAME={}\n", device.major, device.minor, device.node);
  if (device.mode != 0) event += fmt::format("DEVMODE={:#o}\n", device.mode);
  list.text(
      device.directory + "/uevent", 0644, [event]() -> Result<std::string> { return event; },
      store_uevent);
  list.link(fmt::format("{}/{}", in_class, device.name), device.directory);
  list.link("/sys/dev/char/" + numbers, device.directory);
}

void add_misc_devices(NodeList& list, Host& host) {
  // Those that hold what the host has too.
  for (const char* folder : {"/sys/class/misc", "/sys/devices/virtual/misc", "/sys/dev/char"})
    list.directory(folder);
  const auto add = [&list](std::string_view name, std::uint32_t minor, std::string node,
                           std::uint32_t mode) {
    add_char_device(list, {.directory = fmt::format("/sys/devices/virtual/misc/{}", name),
                           .class_name = "misc",
                           .name = std::string(name),
                           .major = kMiscMajor,
                           .minor = minor,
                           .node = std::move(node),
                           .mode = mode});
  };
  add("iommu", kIommuMinor, "iommu", 0660);
  add("vfio", kVfioMinor, "vfio/vfio", 0666);
  if (host.shows_kvm()) add("kvm", kKvmMinor, "kvm", 0);
}

}  // namespace teeio::sysfs
