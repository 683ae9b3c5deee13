#pragma once

#include <memory>

#include "hw/cpu.h"

namespace teeio::guest {

/// Makes vCPUs that run x86-64 instructions on Unicorn.
/// Lifetime: may go before the CPUs that it made.
[[nodiscard]] std::unique_ptr<hw::CpuFactory> make_unicorn_factory();
/// The same for AArch64 instructions, at EL1 with the MMU off.
[[nodiscard]] std::unique_ptr<hw::CpuFactory> make_arm_factory();

}  // namespace teeio::guest
