#pragma once

#include <span>

#include "explore/scenario/catalogue.h"

namespace teeio::explore {

/// Every two calls of pair_calls() at the same time, also a call and itself, in each state:
/// "pair/ready/IOAS_MAP+VFIO_DEVICE_RESET". Not part of the catalogue, which is explored
/// to its end: there are too many of them.
[[nodiscard]] std::span<const MachineScenario> pairs();

}  // namespace teeio::explore
