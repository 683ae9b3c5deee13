#pragma once

#include <cstddef>
#include <cstdint>

/// Offsets and bits of a local APIC's registers. Source: Intel SDM vol. 3, table 12-1.
namespace teeio::kvm::x86::apic {

inline constexpr std::size_t kId = 0x20;
inline constexpr std::size_t kVersion = 0x30;
inline constexpr std::size_t kTaskPriority = 0x80;
inline constexpr std::size_t kProcPriority = 0xa0;
inline constexpr std::size_t kEoi = 0xb0;
inline constexpr std::size_t kLdr = 0xd0;
inline constexpr std::size_t kDfr = 0xe0;
inline constexpr std::size_t kSpurious = 0xf0;
inline constexpr std::size_t kIsr = 0x100;
inline constexpr std::size_t kTmr = 0x180;
inline constexpr std::size_t kIrr = 0x200;
inline constexpr std::size_t kErrorStatus = 0x280;
inline constexpr std::size_t kIcr = 0x300;
inline constexpr std::size_t kIcr2 = 0x310;
inline constexpr std::size_t kLvtTimer = 0x320;
inline constexpr std::size_t kLvtThermal = 0x330;
inline constexpr std::size_t kLvtCounter = 0x340;
inline constexpr std::size_t kLvt0 = 0x350;
inline constexpr std::size_t kLvt1 = 0x360;
inline constexpr std::size_t kLvtError = 0x370;
inline constexpr std::size_t kTimerInitial = 0x380;
inline constexpr std::size_t kTimerCount = 0x390;
inline constexpr std::size_t kTimerDivide = 0x3e0;
inline constexpr std::size_t kSelfIpi = 0x3f0;

inline constexpr std::uint32_t kMasked = 1U << 16U;
inline constexpr std::uint32_t kSoftwareEnable = 1U << 8U;
inline constexpr std::uint32_t kDirectedEoi = 1U << 24U;  // of the version register
inline constexpr std::uint32_t kSuppressEoi = 1U << 12U;  // of the spurious-vector register
inline constexpr std::uint32_t kFlat = 0xffff'ffff;       // of DFR

}  // namespace teeio::kvm::x86::apic
