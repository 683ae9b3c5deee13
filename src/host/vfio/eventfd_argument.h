#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/mm/caller.h"

namespace teeio::vfio {

/// A descriptor that a program gave for an interrupt, and what is behind it: looked at when it
/// is used, as Linux does. Negative: none is meant.
struct EventFdArgument {
  std::int32_t fd = -1;
  Result<object::Ref<mm::EventFd>> eventfd = object::Ref<mm::EventFd>();  ///< null: negative
};

}  // namespace teeio::vfio
