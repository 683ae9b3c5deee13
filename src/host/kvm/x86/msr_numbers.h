#pragma once

#include <cstdint>

namespace teeio::kvm::x86::msr {

// Numbers of model-specific registers: Intel SDM vol. 4.
inline constexpr std::uint32_t kTsc = 0x10;
inline constexpr std::uint32_t kApicBase = 0x1b;
inline constexpr std::uint32_t kSmiCount = 0x34;
inline constexpr std::uint32_t kFeatureControl = 0x3a;
inline constexpr std::uint32_t kTscAdjust = 0x3b;
inline constexpr std::uint32_t kUcodeRev = 0x8b;
inline constexpr std::uint32_t kPlatformInfo = 0xce;
inline constexpr std::uint32_t kMtrrCap = 0xfe;
inline constexpr std::uint32_t kArchCapabilities = 0x10a;
inline constexpr std::uint32_t kMiscFeatures = 0x140;
inline constexpr std::uint32_t kSysenterCs = 0x174;
inline constexpr std::uint32_t kSysenterEsp = 0x175;
inline constexpr std::uint32_t kSysenterEip = 0x176;
inline constexpr std::uint32_t kMcgCap = 0x179;
inline constexpr std::uint32_t kMcgStatus = 0x17a;
inline constexpr std::uint32_t kMcgCtl = 0x17b;
inline constexpr std::uint32_t kMiscEnable = 0x1a0;
inline constexpr std::uint32_t kDebugCtl = 0x1d9;
inline constexpr std::uint32_t kLastBranchFrom = 0x1db;
inline constexpr std::uint32_t kLastBranchTo = 0x1dc;
inline constexpr std::uint32_t kLastIntFrom = 0x1dd;
inline constexpr std::uint32_t kLastIntTo = 0x1de;
inline constexpr std::uint32_t kPowerCtl = 0x1fc;
inline constexpr std::uint32_t kMtrrPhysBase0 = 0x200;
inline constexpr std::uint32_t kMtrrFix64K = 0x250;
inline constexpr std::uint32_t kMtrrFix16K = 0x258;
inline constexpr std::uint32_t kMtrrFix4K = 0x268;
inline constexpr std::uint32_t kPat = 0x277;
inline constexpr std::uint32_t kMc0Ctl2 = 0x280;
inline constexpr std::uint32_t kMtrrDefType = 0x2ff;
inline constexpr std::uint32_t kPerfCapabilities = 0x345;
inline constexpr std::uint32_t kMc0Ctl = 0x400;
inline constexpr std::uint32_t kTscDeadline = 0x6e0;
inline constexpr std::uint32_t kX2apicFirst = 0x800;
inline constexpr std::uint32_t kX2apicLast = 0x8ff;
inline constexpr std::uint32_t kEfer = 0xc000'0080;
inline constexpr std::uint32_t kStar = 0xc000'0081;
inline constexpr std::uint32_t kLstar = 0xc000'0082;
inline constexpr std::uint32_t kCstar = 0xc000'0083;
inline constexpr std::uint32_t kSyscallMask = 0xc000'0084;
inline constexpr std::uint32_t kFsBase = 0xc000'0100;
inline constexpr std::uint32_t kGsBase = 0xc000'0101;
inline constexpr std::uint32_t kKernelGsBase = 0xc000'0102;
inline constexpr std::uint32_t kHwcr = 0xc001'0015;

}  // namespace teeio::kvm::x86::msr
