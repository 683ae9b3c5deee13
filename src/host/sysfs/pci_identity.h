#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hw/pci_function.h"

namespace teeio::sysfs {

/// What a function is called. For a VF, whose vendor and device registers read
/// as ones, from its PF, as Linux does (drivers/pci/iov.c, pci_iov_scan_device()).
struct PciIdentity {
  std::uint16_t vendor = 0, device = 0;
  std::uint16_t subsystem_vendor = 0, subsystem_device = 0;
  std::uint32_t class_code = 0;
  std::uint8_t revision = 0;
};
[[nodiscard]] PciIdentity pci_identity(hw::PciFunction& function);

/// "pci:v00008086d…", without a newline. Source: Linux pci-sysfs.c, modalias_show().
[[nodiscard]] std::string modalias(const PciIdentity& id);
/// The text of `uevent`. Source: Linux pci-driver.c, pci_uevent().
[[nodiscard]] std::string uevent(hw::PciFunction& function, std::string_view driver);
/// The text of `resource`: 13 lines, 17 for a bridge. Source: Linux pci-sysfs.c,
/// resource_show(); flags: include/linux/ioport.h. `first_vf` may be null.
[[nodiscard]] std::string resources(hw::PciFunction& function, hw::PciFunction* first_vf);

/// State of the link. Source: Linux pci-sysfs.c; PCIe Base Spec 7.5.3.6, 7.5.3.8.
struct Link {
  std::string max_speed, speed;  ///< "32.0 GT/s PCIe", "Unknown"
  unsigned max_width = 0, width = 0;
};
/// nullopt without a PCI Express capability.
[[nodiscard]] std::optional<Link> pci_link(hw::PciFunction& function);

/// "D0" … "D3hot" by the power management capability.
[[nodiscard]] std::string_view power_state(hw::PciFunction& function);
/// Device serial number as "00-11-…"; nullopt without one.
[[nodiscard]] std::optional<std::string> serial_number(hw::PciFunction& function);
/// Names of the ways in which Linux can reset the function, best first.
/// `alone`: no other function is on its bus. Source: Linux pci.c,
/// pci_init_reset_methods().
[[nodiscard]] std::vector<std::string> reset_methods(hw::PciFunction& function, bool alone);

/// The SR-IOV capability of a PF; one that can have no VFs is none (sriov_init() of Linux
/// drivers/pci/iov.c). Source: PCIe Base Spec 9.3.3.
struct Sriov {
  std::uint16_t total_vfs, num_vfs, offset, stride, vf_device;
};
[[nodiscard]] std::optional<Sriov> sriov(hw::PciFunction& function);

}  // namespace teeio::sysfs
