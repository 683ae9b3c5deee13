#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"

namespace teeio::vfio {

/// What a bus reset takes with it, and whether it is all this user's.
struct HotReset {
  struct Function {
    Bdf bdf;
    /// The idevice's id in this user's iommufd; nullopt: not owned.
    std::optional<std::uint32_t> id;
    std::uint32_t group;
  };
  std::vector<Function> functions;
  bool owned = true;
  bool by_id = true;  ///< opened through its node; else functions have groups
};

}  // namespace teeio::vfio
