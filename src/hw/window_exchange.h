#pragma once

#include <cstdint>

#include "base/result.h"
#include "hw/physical_memory.h"

namespace teeio::hw {

/// PhysicalMemory::compare_exchange_u64() of a program's pages: in one step where they are
/// reached directly, else by a read and a write. Precondition: the word lies inside of the
/// window. Errors: the window's; EFAULT memory that is not aligned.
Result<bool> exchange_word(WindowTarget& window, std::uint64_t offset, std::uint64_t& expected,
                           std::uint64_t desired);

}  // namespace teeio::hw
