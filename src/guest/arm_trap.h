#pragma once

#include <cstdint>

namespace teeio::guest {

/// An AArch64 instruction that the engine performs itself instead of Unicorn.
struct ArmTrap {
  enum class Kind : std::uint8_t {
    kNone,
    kFirmwareCall,  ///< SMC
    kWait,          ///< WFI, WFE: an event may come at any time, so it is over at once
    kReadCounter,   ///< MRS of a counter: instructions that were run
    kWriteControl,  ///< MSR SCTLR_EL1: the MMU stays off
    kUndefined,     ///< HVC, and MRS of what would make two runs differ
  };
  Kind kind = Kind::kNone;
  std::uint8_t reg = 31;  ///< of MRS and MSR; 31 is XZR
};

/// Source: Arm ARM (DDI 0487), C6.2: SMC, HVC, WFI, WFE, MRS, MSR (register); D19.2:
/// SCTLR_EL1; D19.12: CNTPCT_EL0, CNTVCT_EL0; D19.2: RNDR, RNDRRS.
[[nodiscard]] constexpr ArmTrap arm_trap(std::uint32_t instruction) {
  using Kind = ArmTrap::Kind;
  constexpr std::uint32_t kWithoutImmediate = 0xffe0'001f;
  constexpr std::uint32_t kWithoutRegister = 0xffff'ffe0;
  switch (instruction & kWithoutImmediate) {
    case 0xd400'0003:
      return {.kind = Kind::kFirmwareCall};
    case 0xd400'0002:
      return {.kind = Kind::kUndefined};
    default:
      break;
  }
  if (instruction == 0xd503'207f || instruction == 0xd503'205f) return {.kind = Kind::kWait};
  const auto reg = static_cast<std::uint8_t>(instruction & 31U);
  switch (instruction & kWithoutRegister) {
    case 0xd53b'e020:
    case 0xd53b'e040:
      return {.kind = Kind::kReadCounter, .reg = reg};
    case 0xd518'1000:
      return {.kind = Kind::kWriteControl, .reg = reg};
    case 0xd53b'2400:
    case 0xd53b'2420:
      return {.kind = Kind::kUndefined, .reg = reg};
    default:
      return {};
  }
}

}  // namespace teeio::guest
