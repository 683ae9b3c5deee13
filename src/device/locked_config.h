#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "hw/config_space.h"

namespace teeio::device {

/// Where the registers lie that a lock covers.
struct LockedRegisters {
  std::uint16_t power = 0;  ///< power management capability
  std::uint16_t msix = 0;   ///< MSI-X capability
  bool bars = true;         ///< the header's BARs are the function's (not a VF)
  bool msix_locked = false;
};

/// What a config write did to a locked TDI: a one-word cause ("bus-master-cleared"),
/// or nullopt when everything that the lock covers is as before.
///
/// Covered: Memory Space Enable and Bus Master Enable must not be cleared; BARs and
/// the power state must not change; nor the MSI-X capability under LOCK_MSIX.
/// Function level reset and the IDE capability are judged where they take effect.
/// Source: TDISP ECN of 2022-07-27, 11.2.6, "DSM tracking and handling of locked TDI
/// configurations".
[[nodiscard]] std::optional<std::string_view> lock_violation(const hw::ConfigSpace& before,
                                                             const hw::ConfigSpace& after,
                                                             const LockedRegisters& registers);

}  // namespace teeio::device
