#pragma once

#include <array>
#include <cstdint>

#include "hw/config_space.h"
#include "hw/pci_function.h"

namespace teeio::device {

/// A PF's SR-IOV extended capability, with its VFs, if it has any, enabled as they are at boot.
/// Source: PCIe Base Spec 9.3.3; register layout checked against Linux
/// include/uapi/linux/pci_regs.h, PCI_SRIOV_*.
///
/// Lifetime: `config` outlives it. Locking: the card's lock.
class SriovCapability {
 public:
  struct Options {
    std::uint16_t vfs = 0;
    std::uint16_t vf_device_id = 0;
    std::array<hw::Bar, hw::kBarCount> vf_bars;  ///< of the first VF
  };
  /// Adds the capability. VFs follow the PF at consecutive requester IDs.
  SriovCapability(hw::ConfigSpace& config, const Options& options);

  /// What is programmed of the VFs: enables, number, page size and BARs. An ARI hierarchy
  /// does not move a VF that exists and is left out.
  using Registers = std::array<std::uint32_t, 16>;

  [[nodiscard]] bool contains(std::uint16_t offset) const;
  /// VF Enable and VF Memory Space Enable are set, and there are so many that VF `index`,
  /// counted from 0, is one of them.
  [[nodiscard]] bool vf_answers(unsigned index) const;
  /// VF `index` is enabled, and page size and BARs are as at boot.
  [[nodiscard]] bool in_place(unsigned index) const;
  [[nodiscard]] Registers programmed() const;

 private:
  [[nodiscard]] std::uint16_t at(unsigned reg) const {
    return static_cast<std::uint16_t>(offset_ + reg);
  }

  hw::ConfigSpace& config_;
  std::uint16_t offset_;
  Registers boot_{};
};

/// Alternative Routing-ID Interpretation, pointing at the next function (0: last).
void add_ari(hw::ConfigSpace& config, std::uint8_t next_function);
void add_serial_number(hw::ConfigSpace& config, std::uint64_t serial);

}  // namespace teeio::device
