#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "hw/config_space.h"
#include "hw/pci_function.h"

namespace teeio::device {

/// The registers of a function that a lock covers, at one moment.
struct LockedRegisters {
  /// Where they lie.
  struct Place {
    std::uint16_t power = 0;    ///< power management capability
    std::uint16_t express = 0;  ///< PCI Express capability
    std::uint16_t msix = 0;     ///< MSI-X capability
  };
  std::uint32_t command = 0;
  std::uint32_t power_state = 0;     ///< 0 is D0
  std::uint32_t device_control = 0;  ///< payload size, extended tags, phantom functions
  std::uint32_t msix_control = 0;
  std::array<std::uint32_t, hw::kBarCount> bars{};  ///< of a VF: zero

  static LockedRegisters read(const hw::ConfigSpace& config, const Place& place);
};

/// What a config write did to a locked TDI: a one-word cause ("bus-master-cleared"),
/// or nullopt when everything that the lock covers is as before.
///
/// Covered: Memory Space Enable and Bus Master Enable must not be cleared; BARs and
/// the power state must not change; nor Device Control's Max_Payload_Size, Extended
/// Tag and Phantom Functions bits; nor MSI-X Message Control under LOCK_MSIX.
/// Function level reset, SR-IOV and IDE are judged where they take effect.
/// Source: TDISP ECN of 2022-07-27, 11.2.6, "DSM tracking and handling of locked TDI
/// configurations". Which bits of Device Control it names is a guess: its table is
/// not public, and those three change how requests of the TDI look on the link.
[[nodiscard]] std::optional<std::string_view> lock_violation(const LockedRegisters& before,
                                                             const LockedRegisters& after,
                                                             bool msix_lock);

}  // namespace teeio::device
