#include "host/kvm/x86/msrs.h"

#include <algorithm>

#include "host/kvm/x86/msr_numbers.h"

namespace teeio::kvm::x86 {
namespace {

constexpr std::uint32_t kList[] = {
    // msrs_to_save
    msr::kSysenterCs, msr::kSysenterEsp, msr::kSysenterEip, msr::kStar, msr::kCstar,
    msr::kKernelGsBase, msr::kSyscallMask, msr::kLstar, msr::kTsc, msr::kPat, msr::kFeatureControl,
    msr::kDebugCtl, msr::kLastBranchFrom, msr::kLastBranchTo, msr::kLastIntFrom, msr::kLastIntTo,
    // emulated_msrs
    // KVM's own are listed also where CPUID gives no guest any: they are 0 then.
    0x12, 0x11, 0x4b56'4d01, 0x4b56'4d00, 0x4b56'4d02, 0x4b56'4d03, 0x4b56'4d04, 0x4b56'4d06,
    0x4b56'4d07, msr::kTscAdjust, msr::kTscDeadline, msr::kArchCapabilities, msr::kPerfCapabilities,
    msr::kMiscEnable, msr::kMcgStatus, msr::kMcgCtl, msr::kSmiCount, msr::kPlatformInfo,
    msr::kMiscFeatures, msr::kPowerCtl, msr::kUcodeRev, msr::kHwcr, 0x4b56'4d05};

constexpr std::uint32_t kFeatureList[] = {msr::kUcodeRev, msr::kArchCapabilities,
                                          msr::kPerfCapabilities, msr::kPlatformInfo};

constexpr std::uint64_t kCpuidFaulting = 1ULL << 31U;  // MSR_PLATFORM_INFO

bool canonical(std::uint64_t address) {
  const auto top = static_cast<std::int64_t>(address) >> 47;
  return top == 0 || top == -1;
}

std::uint64_t made_canonical(std::uint64_t address) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(address << 16U) >> 16);
}

/// kvm_pat_valid(): each byte is 0, 1 or 4 to 7.
bool valid_pat(std::uint64_t value) {
  for (unsigned i = 0; i < 8; ++i) {
    const std::uint64_t type = (value >> (8 * i)) & 0xffU;
    if (type > 7 || type == 2 || type == 3) return false;
  }
  return true;
}

bool valid_mtrr_type(std::uint64_t type) { return type < 8 && ((0x73U >> type) & 1U) != 0; }

bool immutable(std::uint32_t index) {
  return index != msr::kUcodeRev &&
         std::ranges::find(kFeatureList, index) != std::end(kFeatureList);
}

}  // namespace

std::span<const std::uint32_t> msr_index_list() { return kList; }
std::span<const std::uint32_t> feature_msr_list() { return kFeatureList; }

std::optional<std::uint64_t> feature_msr(std::uint32_t index) {
  switch (index) {
    case msr::kUcodeRev:
      return 0x2100'0240'0000'0000;
    case msr::kArchCapabilities:
      // RDCL_NO, SKIP_VMENTRY_L1DFLUSH, MDS_NO, PSCHANGE_MC_NO, TAA_NO, …
      return 0x4000'0000'0c00'0169;
    case msr::kPerfCapabilities:
      return 0;
    case msr::kPlatformInfo:
      return kCpuidFaulting;
    default:
      return std::nullopt;
  }
}

Msrs::Msrs(const Cpuid& cpuid, bool feature_values) : cpuid_(cpuid) {
  if (!feature_values) return;
  arch_capabilities_ = feature_msr(msr::kArchCapabilities).value_or(0);
  platform_info_ = feature_msr(msr::kPlatformInfo).value_or(0);
}

/// kvm_do_msr_access(): what KVM advertises may be read, and written with 0, also where
/// the guest does not have it.
std::optional<std::uint64_t> Msrs::get(std::uint32_t index) const {
  std::uint64_t value = 0;
  switch (read(index, value)) {
    case Access::kDone:
      return value;
    case Access::kRefused:
      return std::nullopt;
    case Access::kUnsupported:
      break;
  }
  if (std::ranges::find(kList, index) != std::end(kList)) return 0;
  return std::nullopt;
}

bool Msrs::set(std::uint32_t index, std::uint64_t value) {
  // do_set_msr()
  if (cpuid_.frozen() && immutable(index) && get(index) != value) return false;
  switch (write(index, value)) {
    case Access::kDone:
      return true;
    case Access::kRefused:
      return false;
    case Access::kUnsupported:
      break;
  }
  return value == 0 && std::ranges::find(kList, index) != std::end(kList);
}

/// Registers that any program may set to anything.
std::uint64_t* Msrs::plain(std::uint32_t index) {
  switch (index) {
    case msr::kSysenterCs:
      return &sysenter_cs_;
    case msr::kSysenterEsp:
      return &sysenter_esp_;
    case msr::kSysenterEip:
      return &sysenter_eip_;
    case msr::kStar:
      return &star_;
    case msr::kLstar:
      return &lstar_;
    case msr::kCstar:
      return &cstar_;
    case msr::kSyscallMask:
      return &syscall_mask_;
    case msr::kKernelGsBase:
      return &kernel_gs_base_;
    case msr::kTsc:
      return &tsc_;
    case msr::kTscAdjust:
      return &tsc_adjust_;
    case msr::kTscDeadline:
      return &tsc_deadline_;
    case msr::kPat:
      return &pat_;
    case msr::kFeatureControl:
      return &feature_control_;
    case msr::kMiscEnable:
      return &misc_enable_;
    case msr::kSmiCount:
      return &smi_count_;
    case msr::kPowerCtl:
      return &power_ctl_;
    case msr::kMiscFeatures:
      return &misc_features_;
    case msr::kHwcr:
      return &hwcr_;
    case msr::kUcodeRev:
      return &ucode_rev_;
    case msr::kPlatformInfo:
      return &platform_info_;
    default:
      return nullptr;
  }
}

std::uint64_t* Msrs::mtrr(std::uint32_t index) {
  if (index >= msr::kMtrrPhysBase0 && index < msr::kMtrrPhysBase0 + 2 * kVariableMtrrs)
    return &mtrr_variable_.at(index - msr::kMtrrPhysBase0);
  if (index == msr::kMtrrFix64K) return mtrr_fixed_.data();
  if (index == msr::kMtrrFix16K || index == msr::kMtrrFix16K + 1)
    return &mtrr_fixed_.at(1 + index - msr::kMtrrFix16K);
  if (index >= msr::kMtrrFix4K && index < msr::kMtrrFix4K + 8)
    return &mtrr_fixed_.at(3 + index - msr::kMtrrFix4K);
  return index == msr::kMtrrDefType ? &mtrr_type_ : nullptr;
}

/// kvm_mtrr_valid().
bool Msrs::valid_mtrr(std::uint32_t index, std::uint64_t value) const {
  if (index == msr::kMtrrDefType)
    return (value & ~std::uint64_t{0xcff}) == 0 && valid_mtrr_type(value & 0xffU);
  if (index >= msr::kMtrrFix64K) {
    for (unsigned i = 0; i < 8; ++i)
      if (!valid_mtrr_type((value >> (8 * i)) & 0xffU)) return false;
    return true;
  }
  const bool mask = (index & 1U) != 0;
  if (!mask && !valid_mtrr_type(value & 0xffU)) return false;
  return (value & (cpuid_.reserved_gpa_bits() | (mask ? 0x7ffU : 0xf00U))) == 0;
}

Msrs::Access Msrs::read(std::uint32_t index, std::uint64_t& value) const {
  // The places are found by functions that also writers use.
  auto& self = const_cast<Msrs&>(*this);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  const std::uint64_t* place = self.plain(index);
  if (place == nullptr) place = self.mtrr(index);
  if (place == nullptr) place = self.mce_bank(index);
  if (place != nullptr) {
    value = *place;
    return Access::kDone;
  }
  switch (index) {
    case msr::kMtrrCap:
      value = 0x500 | kVariableMtrrs;  // fixed ranges, write combining
      return Access::kDone;
    case msr::kMcgCap:
      value = mcg_cap_;
      return Access::kDone;
    case msr::kMcgStatus:
      value = mcg_status_;
      return Access::kDone;
    case msr::kMcgCtl:
      value = mcg_ctl_;
      return Access::kDone;
    case msr::kArchCapabilities:
      value = arch_capabilities_;
      return cpuid_.has(kArchCapabilities) ? Access::kDone : Access::kUnsupported;
    case msr::kDebugCtl:
    case msr::kLastBranchFrom:
    case msr::kLastBranchTo:
    case msr::kLastIntFrom:
    case msr::kLastIntTo:
      value = 0;
      return Access::kDone;
    default:
      return Access::kUnsupported;
  }
}

Msrs::Access Msrs::write(std::uint32_t index, std::uint64_t value) {
  constexpr std::uint64_t kLocked = 1;
  switch (index) {
    case msr::kCstar:
    case msr::kLstar:
    case msr::kKernelGsBase:
      if (!canonical(value)) return Access::kRefused;
      break;
    case msr::kSysenterEsp:
    case msr::kSysenterEip:
      value = made_canonical(value);
      break;
    case msr::kPat:
      if (!valid_pat(value)) return Access::kRefused;
      break;
    case msr::kFeatureControl:  // no VMX and no LMCE for the guest
      if ((value & ~kLocked) != 0) return Access::kRefused;
      break;
    case msr::kTscAdjust:
      if (!cpuid_.has(kTscAdjust)) return Access::kDone;
      break;
    case msr::kMiscFeatures:
      if ((value & ~std::uint64_t{1}) != 0 ||
          (value != 0 && (platform_info_ & kCpuidFaulting) == 0))
        return Access::kRefused;
      break;
    case msr::kHwcr:
      value &= ~std::uint64_t{0x148};
      if ((value & ~(1ULL << 18U | 1ULL << 24U)) != 0) return Access::kRefused;
      break;
    case msr::kArchCapabilities:
      if (!cpuid_.has(kArchCapabilities)) return Access::kUnsupported;
      arch_capabilities_ = value;
      return Access::kDone;
    case msr::kDebugCtl:  // BTF and LBR are dropped, with a line in Linux's log
      return (value & ~std::uint64_t{3}) == 0 ? Access::kDone : Access::kRefused;
    default:
      break;
  }
  if (std::uint64_t* place = plain(index); place != nullptr) {
    *place = value;
    return Access::kDone;
  }
  if (std::uint64_t* place = mtrr(index); place != nullptr) {
    if (!valid_mtrr(index, value)) return Access::kRefused;
    *place = value;
    return Access::kDone;
  }
  return write_mce(index, value);
}

}  // namespace teeio::kvm::x86
