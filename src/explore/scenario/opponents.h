#pragma once

#include <span>
#include <string_view>

#include "explore/scenario/stage.h"

namespace teeio::explore {

/// What ends or disturbs the bond between a TDI and its VM. Each is set against
/// bind, against unbind and against a guest's request.
struct Opponent {
  std::string_view name;   ///< "vfio-close", the end of a scenario's name
  std::string_view words;  ///< "the last close of the VFIO device"
  /// Gives what its last call answered.
  Result<void> (*act)(Stage& stage, Vmm& vmm);
  /// What must be so before, as part of the set-up; may be null.
  void (*prepare)(Stage& stage, Vmm& vmm) = nullptr;
  bool removes = false, follows_removal = false;  ///< as Actor's
};

[[nodiscard]] std::span<const Opponent> opponents();

// VFIO's config region of a function, as a VMM writes it.
Result<void> write_config(Vmm& vmm, std::uint16_t at, std::uint16_t value);
Result<std::uint16_t> read_config(Vmm& vmm, std::uint16_t at);
/// Where the power management capability's control and status register is.
Result<std::uint16_t> power_control(Vmm& vmm);
inline constexpr std::uint16_t kCommandRegister = 4;
inline constexpr std::uint16_t kCommandMemory = 2, kCommandMaster = 4;

/// A word of BAR2 through VFIO: the function works as a shared device (R10).
[[nodiscard]] bool works_as_shared(Vmm& vmm);

}  // namespace teeio::explore
