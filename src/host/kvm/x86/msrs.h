#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "host/kvm/x86/cpuid.h"

namespace teeio::kvm::x86 {

inline constexpr unsigned kMaxMceBanks = 32;  // KVM_MAX_MCE_BANKS
inline constexpr unsigned kVariableMtrrs = 8;
/// KVM_X86_GET_MCE_CAP_SUPPORTED: MCG_CTL_P and MCG_SER_P.
inline constexpr std::uint64_t kSupportedMceCap = 1ULL << 8U | 1ULL << 24U;

/// KVM_GET_MSR_INDEX_LIST: what is to be saved, then what KVM emulates.
[[nodiscard]] std::span<const std::uint32_t> msr_index_list();
/// KVM_GET_MSR_FEATURE_INDEX_LIST.
[[nodiscard]] std::span<const std::uint32_t> feature_msr_list();
/// The host's value of a feature MSR; nullopt of another one.
[[nodiscard]] std::optional<std::uint64_t> feature_msr(std::uint32_t index);

/// struct kvm_x86_mce, as values.
struct MachineCheck {
  std::uint64_t status = 0, addr = 0, misc = 0, mcg_status = 0;
  std::uint8_t bank = 0;
};

/// The MSRs of one vCPU that are plain state, as KVM_GET_MSRS and KVM_SET_MSRS reach them:
/// the program's access, with `host_initiated` in Linux's words. EFER, segment bases and the
/// local APIC are elsewhere (VcpuState).
/// Source: Linux arch/x86/kvm/msrs.c and mtrr.c; vmx/vmx.c for what is Intel's.
/// Locking: vcpu->mutex.
class Msrs {
 public:
  /// `feature_values`: feature MSRs start as the host's (KVM_X86_QUIRK_STUFF_FEATURE_MSRS).
  Msrs(const Cpuid& cpuid, bool feature_values);

  /// Nullopt: KVM_GET_MSRS stops here.
  [[nodiscard]] std::optional<std::uint64_t> get(std::uint32_t index) const;
  /// False: KVM_SET_MSRS stops here.
  [[nodiscard]] bool set(std::uint32_t index, std::uint64_t value);

  /// KVM_X86_SETUP_MCE. Errors: EINVAL.
  Result<void> setup_mce(std::uint64_t mcg_cap);
  /// KVM_X86_SET_MCE: what it does beside its bank. Errors: EINVAL.
  enum class MceEffect : std::uint8_t { kNone, kException, kTripleFault };
  Result<MceEffect> set_mce(MachineCheck check, bool cr4_mce);

 private:
  /// What an access finds; `unsupported` is Linux's KVM_MSR_RET_UNSUPPORTED.
  enum class Access : std::uint8_t { kDone, kRefused, kUnsupported };
  Access read(std::uint32_t index, std::uint64_t& value) const;
  Access write(std::uint32_t index, std::uint64_t value);
  [[nodiscard]] std::uint64_t* plain(std::uint32_t index);
  [[nodiscard]] std::uint64_t* mtrr(std::uint32_t index);
  [[nodiscard]] bool valid_mtrr(std::uint32_t index, std::uint64_t value) const;
  [[nodiscard]] std::uint64_t* mce_bank(std::uint32_t index);
  Access write_mce(std::uint32_t index, std::uint64_t value);

  const Cpuid& cpuid_;
  std::uint64_t sysenter_cs_ = 0, sysenter_esp_ = 0, sysenter_eip_ = 0;
  std::uint64_t star_ = 0, lstar_ = 0, cstar_ = 0, syscall_mask_ = 0, kernel_gs_base_ = 0;
  std::uint64_t tsc_ = 0, tsc_adjust_ = 0, tsc_deadline_ = 0;
  std::uint64_t pat_ = 0x0007'0406'0007'0406;
  std::uint64_t feature_control_ = 0;
  std::uint64_t misc_enable_ = 0x1800;  ///< neither BTS nor PEBS
  std::uint64_t smi_count_ = 0, power_ctl_ = 0, misc_features_ = 0, hwcr_ = 0;
  std::uint64_t ucode_rev_ = 0x1'0000'0000;
  std::uint64_t arch_capabilities_ = 0, platform_info_ = 0;
  std::uint64_t mcg_cap_ = kMaxMceBanks;
  std::uint64_t mcg_status_ = 0, mcg_ctl_ = 0;
  std::array<std::uint64_t, std::size_t{kMaxMceBanks} * 4> mce_banks_{};
  std::array<std::uint64_t, kMaxMceBanks> mce_ctl2_{};
  std::array<std::uint64_t, std::size_t{kVariableMtrrs} * 2> mtrr_variable_{};
  std::array<std::uint64_t, 11> mtrr_fixed_{};
  std::uint64_t mtrr_type_ = 0;
};

}  // namespace teeio::kvm::x86
