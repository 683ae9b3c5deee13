#pragma once

#include <cstdint>

namespace teeio::schedule {

/// The disputed designs that a machine file chooses between ([policies]).
enum class Setting : std::uint8_t {
  kBindOwner,
  kCloseOrder,
  kWhileBound,
  kVmRef,
  kVdeviceLifetime,
};
inline constexpr unsigned kSettings = 5;

/// Code calls this where it looks at a setting. A run that never looked at one
/// goes the same way whatever its value, so `teeio explore --designs` need not
/// run it again. Per OS thread.
void consult(Setting setting);
/// What was looked at since the last call, a bit a setting.
[[nodiscard]] std::uint32_t take_consulted();

}  // namespace teeio::schedule
