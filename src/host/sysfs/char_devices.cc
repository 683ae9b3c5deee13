#include "host/sysfs/char_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "host/sysfs/numbers.h"
#include "host/sysfs/text.h"

namespace teeio::sysfs {

Result<void> store_uevent(std::string_view text) {
  constexpr std::array<std::string_view, 8> kActions = {"add",    "remove",  "change", "move",
                                                        "online", "offline", "bind",   "unbind"};
  if (std::ranges::find(kActions, trimmed(text)) == kActions.end())
    return fail(Errno::kInval, "uevent takes the name of an action");
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
