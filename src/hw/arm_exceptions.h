#pragma once

#include <cstdint>

#include "hw/cpu.h"

namespace teeio::hw {

/// What an Arm vCPU has beside its general registers: the way by which who owns it gives its
/// guest an exception.
/// Locking: as ArmCore.
class ArmExceptions {
 public:
  virtual ~ArmExceptions() = default;
  /// The instruction that would be next takes a synchronous abort to EL1, in place of the access
  /// that it was stopped at: ESR_EL1 is `syndrome` (whose exception class is a lower level's, and
  /// becomes the same level's where the guest is at EL1), FAR_EL1 `address`; ELR_EL1, SPSR_EL1,
  /// PSTATE and PC as AArch64.TakeException() says (Arm ARM, DDI 0487, J1). Gives the general
  /// registers then. An engine that cannot do so has its next run() end in kShutdown.
  virtual ArmRegisters take_abort(std::uint64_t syndrome, std::uint64_t address) = 0;
};

}  // namespace teeio::hw
