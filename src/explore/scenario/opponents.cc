#include "explore/scenario/opponents.h"

#include <string>

#include "base/bytes.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

constexpr std::uint16_t kCapabilityPointer = 0x34;
constexpr std::uint8_t kPowerManagement = 0x01;
constexpr std::uint16_t kPowerControl = 4;
constexpr std::uint16_t kD3Hot = 3, kD0 = 0;
constexpr int kMostCapabilities = 48;  // as Linux's PCI_FIND_CAP_TTL

std::uint64_t config_region(std::uint16_t at) {
  return (std::uint64_t{vfio::kConfigRegion} << vfio::kRegionShift) + at;
}

/// The KVM device's association holds the VFIO file too.
void dissociate(Stage&, Vmm& vmm) { must(vmm.associate(KVM_DEV_VFIO_FILE_DEL)); }

void mount_sysfs(Stage& stage, Vmm&) { stage.mount_sysfs(); }

Result<void> close_vfio(Stage&, Vmm& vmm) { return vmm.close(vmm.vfio); }
Result<void> close_iommufd(Stage&, Vmm& vmm) { return vmm.close(vmm.iommufd); }
Result<void> close_vm(Stage&, Vmm& vmm) {
  vmm.close_vm_files();
  return {};
}
Result<void> destroy_vdevice(Stage&, Vmm& vmm) { return vmm.destroy(vmm.vdevice_id); }
Result<void> exit_process(Stage&, Vmm& vmm) {
  vmm.exit();
  return {};
}
Result<void> disconnect_card(Stage& stage, Vmm&) { return stage.machine().disconnect_cards(); }
Result<void> remove_tsm(Stage& stage, Vmm&) {
  stage.machine().remove_tsm();
  return {};
}
Result<void> remove_device(Stage& stage, Vmm&) {
  stage.machine().remove_function(stage.machine().config().cards.front().bdf);
  return {};
}
Result<void> reset_device(Stage&, Vmm& vmm) {
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, 0ULL));
  return {};
}
Result<void> reset_by_root(Stage& stage, Vmm&) {
  TEEIO_TRY(stage.root().echo("1\n", std::string(kCard) + "/reset"));
  return {};
}
Result<void> disable_memory(Stage&, Vmm& vmm) {
  (void)write_config(vmm, kCommandRegister, kCommandMaster);
  return write_config(vmm, kCommandRegister, kCommandMaster | kCommandMemory);
}
Result<void> sleep(Stage&, Vmm& vmm) {
  TEEIO_ASSIGN(const std::uint16_t at, power_control(vmm));
  (void)write_config(vmm, at, kD3Hot);
  return write_config(vmm, at, kD0);
}

constexpr Opponent kOpponents[] = {
    {"vfio-close", "the last close of the VFIO device", close_vfio, dissociate},
    {"iommufd-close", "the close of the iommufd", close_iommufd},
    {"vm-close", "the close of the VM's descriptors", close_vm},
    {"destroy", "IOMMU_DESTROY of the vDEVICE", destroy_vdevice},
    {"exit", "the end of the process", exit_process},
    {"disconnect", "the card's disconnection", disconnect_card},
    {"tsm-removal", "the TSM's unregistration", remove_tsm},
    {"device-removal", "the device's removal", remove_device, nullptr, true},
    {"reset", "VFIO_DEVICE_RESET", reset_device},
    {.name = "sysfs-reset",
     .words = "`echo 1 > reset` by root",
     .act = reset_by_root,
     .prepare = mount_sysfs,
     .follows_removal = true},
    {"memory-disable", "Memory Space Enable cleared and set", disable_memory},
    {"d3", "a stay in D3hot", sleep},
};

}  // namespace

std::span<const Opponent> opponents() { return kOpponents; }

Result<void> write_config(Vmm& vmm, std::uint16_t at, std::uint16_t value) {
  TEEIO_TRY(vmm.pwrite(vmm.vfio, config_region(at), bytes_of(value)));
  return {};
}

Result<std::uint16_t> read_config(Vmm& vmm, std::uint16_t at) {
  std::uint16_t value = 0;
  TEEIO_TRY(vmm.pread(vmm.vfio, config_region(at), writable_bytes_of(value)));
  return value;
}

Result<std::uint16_t> power_control(Vmm& vmm) {
  TEEIO_ASSIGN(std::uint16_t at, read_config(vmm, kCapabilityPointer));
  for (int left = kMostCapabilities; left > 0 && (at &= 0xfcU) != 0; --left) {
    TEEIO_ASSIGN(const std::uint16_t header, read_config(vmm, at));
    if ((header & 0xffU) == kPowerManagement) return static_cast<std::uint16_t>(at + kPowerControl);
    at = static_cast<std::uint16_t>(header >> 8U);
  }
  return fail(Errno::kNoEnt, "the function has no power management capability");
}

bool works_as_shared(Vmm& vmm) {
  std::uint32_t value = 0;
  constexpr std::uint64_t kBar2Region = std::uint64_t{2} << vfio::kRegionShift;
  return vmm.pread(vmm.vfio, kBar2Region, writable_bytes_of(value)).has_value();
}

}  // namespace teeio::explore
