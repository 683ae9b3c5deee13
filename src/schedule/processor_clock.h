#pragma once

#include <cstdint>

namespace teeio::schedule {

/// Processor time that the calling OS thread has used, in nanoseconds. Never virtual: for who
/// explores, not for what is explored.
[[nodiscard]] std::uint64_t processor_ns();

}  // namespace teeio::schedule
