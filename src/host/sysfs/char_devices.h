#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/sysfs/host.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// What a device of a class shows of its node below /dev.
struct CharDevice {
  std::string directory;  ///< below /sys/devices
  std::string_view class_name;
  std::string name;  ///< in its class
  std::uint32_t major = 0, minor = 0;
  std::string node;        ///< below /dev
  std::uint32_t mode = 0;  ///< as `uevent` has it; 0: it says none
};

/// Adds the directory with `dev`, `subsystem` and `uevent`, its link in the class, and the one of
/// its numbers, by which udev finds it. Source: Linux drivers/base/core.c, device_add(),
/// dev_uevent(), device_create_sys_dev_entry().
void add_char_device(NodeList& list, const CharDevice& device);

/// The misc devices behind /dev/iommu, /dev/vfio/vfio and, where it is the machine's, /dev/kvm.
/// Source: Linux drivers/iommu/iommufd/main.c, drivers/vfio/container.c, virt/kvm/kvm_main.c.
void add_misc_devices(NodeList& list, Host& host);

/// A write to a device's `uevent`: an action, maybe with a UUID, as `udevadm trigger --settle`
/// writes it, and KEY=VALUE. Errors: EINVAL. Source: Linux lib/kobject_uevent.c.
Result<void> store_uevent(std::string_view text);
/// The `uevent` of a bus, driver or module, which is written only. Source: Linux
/// drivers/base/bus.c, bus_uevent_store(), uevent_store(); kernel/params.c, store_uevent().
void add_written_uevent(NodeList& list, const std::string& directory);

}  // namespace teeio::sysfs
