#pragma once

#include <gtest/gtest.h>

#include "firmware/sev/rmp.h"

namespace teeio::sev {

/// Frames in one RMP entry of 2 MiB, which are the firmware's. Precondition: nothing is free
/// below the frames in use, and there is room for two such entries.
inline Hpa large_firmware_pages(hw::PhysicalMemory& memory, Rmp& rmp) {
  Hpa base = *memory.alloc_page();
  while (raw(base) % kRmp2M != 0) base = *memory.alloc_page();
  for (std::uint64_t at = kPageSize; at < kRmp2M; at += kPageSize)
    EXPECT_EQ(*memory.alloc_page(), base + at);
  EXPECT_EQ(rmp.update(base, {.assigned = true, .immutable = true, .size = RmpSize::k2M}),
            RmpStatus::kSuccess);
  return base;
}

}  // namespace teeio::sev
