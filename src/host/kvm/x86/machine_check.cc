#include "host/kvm/x86/msr_numbers.h"
#include "host/kvm/x86/msrs.h"

// The banks of machine-check errors. Source: Linux arch/x86/kvm/msrs.c, set_msr_mce();
// x86.c, kvm_vcpu_ioctl_x86_setup_mce() and kvm_vcpu_ioctl_x86_set_mce().

namespace teeio::kvm::x86 {
namespace {

constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};
constexpr std::uint64_t kMcgCtlPresent = 1ULL << 8U;
constexpr std::uint64_t kMcgCmciPresent = 1ULL << 10U;
constexpr std::uint64_t kMcgInProgress = 1ULL << 2U;
constexpr std::uint64_t kValid = 1ULL << 63U;
constexpr std::uint64_t kOverflow = 1ULL << 62U;
constexpr std::uint64_t kUncorrected = 1ULL << 61U;
constexpr std::uint64_t kContextCorrupt = 1ULL << 57U;
constexpr std::uint64_t kSignaled = 1ULL << 56U;
constexpr std::uint64_t kActionRequired = 1ULL << 55U;

/// is_ucna(): uncorrected, and nobody needs to do anything.
bool no_action(const MachineCheck& check) {
  return check.mcg_status == 0 &&
         (check.status & (kContextCorrupt | kSignaled | kActionRequired)) == 0 &&
         (check.status & kValid) != 0 && (check.status & kUncorrected) != 0;
}

}  // namespace

std::uint64_t* Msrs::mce_bank(std::uint32_t index) {
  const auto banks = static_cast<std::uint32_t>(mcg_cap_ & 0xffU);
  if (index >= msr::kMc0Ctl2 && index < msr::kMc0Ctl2 + banks)
    return &mce_ctl2_.at(index - msr::kMc0Ctl2);
  if (index >= msr::kMc0Ctl && index < msr::kMc0Ctl + 4 * banks)
    return &mce_banks_.at(index - msr::kMc0Ctl);
  return nullptr;
}

Msrs::Access Msrs::write_mce(std::uint32_t index, std::uint64_t value) {
  if (index == msr::kMcgStatus) {
    mcg_status_ = value;
    return Access::kDone;
  }
  if (index == msr::kMcgCtl) {
    if (((mcg_cap_ & kMcgCtlPresent) == 0 && value != 0) || (value != 0 && value != kAllOnes))
      return Access::kRefused;
    mcg_ctl_ = value;
    return Access::kDone;
  }
  std::uint64_t* place = mce_bank(index);
  if (place == nullptr) return Access::kUnsupported;
  constexpr std::uint64_t kCtl2Bits = 1ULL << 30U | 0x7fff;
  if (index < msr::kMc0Ctl) {
    if (((mcg_cap_ & kMcgCmciPresent) == 0 && value != 0) || (value & ~kCtl2Bits) != 0)
      return Access::kRefused;
  } else if ((index & 3U) == 0 && value != 0 && (value | 1ULL << 10U | 1U) != kAllOnes) {
    return Access::kRefused;  // MCi_CTL is 0 or all ones
  }
  *place = value;
  return Access::kDone;
}

Result<void> Msrs::setup_mce(std::uint64_t mcg_cap) {
  const std::uint64_t banks = mcg_cap & 0xffU;
  if (banks == 0 || banks > kMaxMceBanks)
    return fail(Errno::kInval, "the number of machine-check banks is wrong");
  if ((mcg_cap & ~(kSupportedMceCap | 0xffU | 0xff'0000U)) != 0)
    return fail(Errno::kInval, "the machine-check capability is not supported");
  mcg_cap_ = mcg_cap;
  if ((mcg_cap & kMcgCtlPresent) != 0) mcg_ctl_ = kAllOnes;
  for (std::size_t bank = 0; bank < banks; ++bank) mce_banks_.at(bank * 4) = kAllOnes;
  return {};
}

Result<Msrs::MceEffect> Msrs::set_mce(MachineCheck check, bool cr4_mce) {
  if (check.bank >= (mcg_cap_ & 0xffU) || (check.status & kValid) == 0)
    return fail(Errno::kInval, "no such machine-check bank, or no valid error");
  std::uint64_t* bank = &mce_banks_.at(std::size_t{check.bank} * 4);
  const auto store = [&] {
    bank[1] = check.status;
    bank[2] = check.addr;
    bank[3] = check.misc;
    mcg_status_ = check.mcg_status;
  };
  if (no_action(check)) {
    store();
    return MceEffect::kNone;
  }
  const bool uncorrected = (check.status & kUncorrected) != 0;
  const bool reporting_off =
      ((mcg_cap_ & kMcgCtlPresent) != 0 && mcg_ctl_ != kAllOnes) || bank[0] != kAllOnes;
  if (uncorrected && reporting_off) return MceEffect::kNone;
  if (uncorrected) {
    if ((mcg_status_ & kMcgInProgress) != 0 || !cr4_mce) return MceEffect::kTripleFault;
    if ((bank[1] & kValid) != 0) check.status |= kOverflow;
    store();
    return MceEffect::kException;
  }
  if ((bank[1] & kValid) == 0 || (bank[1] & kUncorrected) == 0) {
    if ((bank[1] & kValid) != 0) check.status |= kOverflow;
    bank[1] = check.status;
    bank[2] = check.addr;
    bank[3] = check.misc;
  } else {
    bank[1] |= kOverflow;
  }
  return MceEffect::kNone;
}

}  // namespace teeio::kvm::x86
