#pragma once

#include <cstdint>
#include <string>

#include "explore/reduction/program.h"

namespace teeio::reduction {

/// What stands for the monitors of a program: mutexes show the middle of a section.
enum class Guards : std::uint8_t { kMonitors, kMutexes };

/// Runs `program` once, as the body of an explored run, and gives its end: what
/// each task saw, in its order, and what is left.
[[nodiscard]] std::string run(const Program& program, Guards guards);

/// Of the run that just ended in a finding, and kept its world: what each task
/// has seen so far.
[[nodiscard]] std::string seen_so_far();

}  // namespace teeio::reduction
