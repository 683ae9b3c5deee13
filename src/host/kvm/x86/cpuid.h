#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace teeio::kvm::x86 {

/// struct kvm_cpuid_entry2, as values.
struct CpuidEntry {
  std::uint32_t function = 0;
  std::uint32_t index = 0;
  std::uint32_t flags = 0;
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  std::uint32_t padding[3] = {};
  bool operator==(const CpuidEntry&) const = default;
};
/// Of CpuidEntry::flags: `index` is part of the entry's name.
inline constexpr std::uint32_t kSignificantIndex = 1;
inline constexpr std::uint32_t kMaxCpuidEntries = 256;

enum class CpuidRegister : std::uint8_t { kEax, kEbx, kEcx, kEdx };

/// One feature bit.
struct Feature {
  std::uint32_t function;
  CpuidRegister reg;
  std::uint8_t bit;
};
inline constexpr Feature kXmm3{1, CpuidRegister::kEcx, 0};
inline constexpr Feature kPcid{1, CpuidRegister::kEcx, 17};
inline constexpr Feature kX2apic{1, CpuidRegister::kEcx, 21};
inline constexpr Feature kXsave{1, CpuidRegister::kEcx, 26};
inline constexpr Feature kFsgsbase{7, CpuidRegister::kEbx, 0};
inline constexpr Feature kTscAdjust{7, CpuidRegister::kEbx, 1};
inline constexpr Feature kSmep{7, CpuidRegister::kEbx, 7};
inline constexpr Feature kSmap{7, CpuidRegister::kEbx, 20};
inline constexpr Feature kUmip{7, CpuidRegister::kEcx, 2};
inline constexpr Feature kArchCapabilities{7, CpuidRegister::kEdx, 29};
inline constexpr Feature kNx{0x8000'0001, CpuidRegister::kEdx, 20};
inline constexpr Feature kLongMode{0x8000'0001, CpuidRegister::kEdx, 29};

/// XCR0 bits that this host has: x87 and SSE.
inline constexpr std::uint64_t kSupportedXcr0 = 3;

/// KVM_GET_SUPPORTED_CPUID: what the processor model and KVM have in common. The model
/// is one and the same on every machine that teeio runs on: an Intel server processor of
/// family 6, model 0xcf, without what the guest engine cannot do (AVX and later, PKU,
/// performance counters, RDRAND, RDTSCP), and without KVM's paravirtual features.
[[nodiscard]] std::span<const CpuidEntry> supported_cpuid();
/// KVM_GET_EMULATED_CPUID. Source: cpuid_func_emulated().
[[nodiscard]] std::span<const CpuidEntry> emulated_cpuid();

/// The entry that CPUID with these inputs finds; null without one.
[[nodiscard]] const CpuidEntry* find_cpuid(std::span<const CpuidEntry> entries,
                                           std::uint32_t function, std::uint32_t index);

/// What the CPUID of a vCPU depends on besides KVM_SET_CPUID2.
struct CpuidDynamic {
  bool osxsave = false;      ///< CR4.OSXSAVE
  bool apic_enabled = true;  ///< IA32_APIC_BASE.EN
};

/// The CPUID of one vCPU. Source: Linux arch/x86/kvm/cpuid.c.
/// Locking: vcpu->mutex.
class Cpuid {
 public:
  /// KVM_SET_CPUID2; `dynamic` is KVM's own part of it. After freeze() only what is set
  /// already may be set. Errors: EINVAL for a width of linear addresses that no processor has
  /// or another model after the first KVM_RUN; EPERM for a state component that needs the
  /// process's permission.
  Result<void> set(std::vector<CpuidEntry> entries, const CpuidDynamic& dynamic);
  /// vcpu->arch.last_vmentry_cpu != -1: the vCPU has run.
  void freeze() { frozen_ = true; }
  [[nodiscard]] bool frozen() const { return frozen_; }
  void refresh(const CpuidDynamic& dynamic) { apply(entries_, dynamic); }

  [[nodiscard]] std::span<const CpuidEntry> entries() const { return entries_; }
  /// guest_cpu_cap_has(): the VMM and KVM both give it.
  [[nodiscard]] bool has(const Feature& feature) const;
  /// What the guest's CPUID instruction gives; of a leaf beyond the last one, zeros.
  [[nodiscard]] CpuidEntry answer(std::uint32_t function, std::uint32_t index) const;
  /// cpuid_query_maxphyaddr().
  [[nodiscard]] unsigned physical_bits() const;
  /// kvm_vcpu_reserved_gpa_bits_raw().
  [[nodiscard]] std::uint64_t reserved_gpa_bits() const;
  /// Bits that CR4 may have: kvm_is_valid_cr4().
  [[nodiscard]] std::uint64_t cr4_bits() const;
  /// guest_supported_xcr0.
  [[nodiscard]] std::uint64_t xcr0_bits() const;

 private:
  static void apply(std::vector<CpuidEntry>& entries, const CpuidDynamic& dynamic);

  std::vector<CpuidEntry> entries_;
  bool frozen_ = false;
};

}  // namespace teeio::kvm::x86
