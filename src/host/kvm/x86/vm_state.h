#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/kvm/x86/interrupts.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::kvm::x86 {

inline constexpr std::uint32_t kMaxVcpus = 1024;
inline constexpr std::uint32_t kMaxVcpuIds = 4 * kMaxVcpus;  // KVM_VCPU_ID_RATIO
/// What this host's TSC runs at, and so a guest's until KVM_SET_TSC_KHZ.
inline constexpr std::uint32_t kHostTscKhz = 2'000'000;
/// kvm_caps.max_guest_tsc_khz, which must stay an answer of an ioctl.
inline constexpr std::uint32_t kMaxTscKhz = 0x7fff'ffff;

// KVM_X86_QUIRK_*: those that change something here.
inline constexpr std::uint64_t kQuirkLint0Reenabled = 1U << 0U;
inline constexpr std::uint64_t kQuirkOut7eIncRip = 1U << 3U;
inline constexpr std::uint64_t kQuirkStuffFeatureMsrs = 1U << 8U;
inline constexpr std::uint64_t kSupportedQuirks =
    kQuirkLint0Reenabled | kQuirkOut7eIncRip | kQuirkStuffFeatureMsrs;
// KVM_X2APIC_API_*.
inline constexpr std::uint64_t kX2apicWideIds = 1;
inline constexpr std::uint64_t kX2apicNoBroadcastQuirk = 2;
inline constexpr std::uint64_t kX2apicSuppressEoi = 4;  ///< a split irqchip's
inline constexpr std::uint64_t kX2apicNoSuppressEoi = 8;
inline constexpr std::uint64_t kX2apicFlags =
    kX2apicWideIds | kX2apicNoBroadcastQuirk | kX2apicSuppressEoi | kX2apicNoSuppressEoi;
/// KVM_CAP_EXIT_HYPERCALL: KVM_HC_MAP_GPA_RANGE.
inline constexpr std::uint64_t kHypercallExits = 1U << 12U;

/// KVM_CLOCK_TSC_STABLE, _REALTIME and _HOST_TSC, which KVM_GET_CLOCK may have given.
inline constexpr std::uint32_t kClockFlags = 2 | 4 | 8;

/// What KVM_ENABLE_CAP and the x86 ioctls of a VM set. Each value is read where it counts:
/// quirks at a vCPU's reset, hypercall exits by the guest's call, ids when a vCPU is made.
/// Source: Linux arch/x86/kvm/x86.c, kvm_vm_ioctl_enable_cap() and kvm_arch_vm_ioctl().
///
/// Lifetime: owned by its VM.
/// Locking: one of its own, innermost, and no scheduling point (Linux: kvm->lock).
/// `created_vcpus` comes from the VM, which holds kvm->lock meanwhile.
class VmState {
 public:
  [[nodiscard]] Interrupts& interrupts() { return interrupts_; }

  // KVM_ENABLE_CAP of a VM.
  void disable_quirks(std::uint64_t quirks);
  /// KVM_CAP_SPLIT_IRQCHIP. Errors: EINVAL, EEXIST.
  Result<void> split_irqchip(std::uint64_t pins, std::size_t created_vcpus);
  /// KVM_CAP_X2APIC_API. Errors: EINVAL.
  Result<void> set_x2apic_api(std::uint64_t flags);
  void set_exception_payload(bool on);
  void set_triple_fault_event(bool on);
  /// KVM_CAP_EXIT_HYPERCALL. Errors: EINVAL.
  Result<void> set_hypercall_exits(std::uint64_t calls);
  /// KVM_CAP_MAX_VCPU_ID. Errors: EINVAL.
  Result<void> set_max_ids(std::uint64_t ids);
  /// KVM_CAP_X86_APIC_BUS_CYCLES_NS. Errors: EINVAL, ENXIO.
  Result<void> set_bus_cycle_ns(std::uint64_t value, std::size_t created_vcpus);

  /// KVM_CREATE_IRQCHIP. Errors: EEXIST; EINVAL with vCPUs.
  Result<void> create_irqchip(std::size_t created_vcpus);
  /// KVM_SET_TSS_ADDR. Errors: EINVAL beyond 4 GiB. The guest engine needs no such memory, as
  /// a processor with "unrestricted guest".
  static Result<void> check_tss_address(std::uint64_t address);
  /// KVM_SET_IDENTITY_MAP_ADDR; likewise. Errors: EINVAL with vCPUs.
  static Result<void> check_identity_map(std::size_t created_vcpus);
  /// KVM_SET_NR_MMU_PAGES. Errors: EINVAL below 64.
  Result<void> set_nr_mmu_pages(std::uint64_t pages);
  /// KVM_SET_BOOT_CPU_ID. Errors: EBUSY with vCPUs; EINVAL.
  Result<void> set_boot_cpu(std::uint64_t id, std::size_t created_vcpus);
  /// KVM_SET_TSC_KHZ of a VM; 0 is the host's rate. Errors: EINVAL with vCPUs.
  Result<void> set_tsc_khz(std::uint32_t khz, std::size_t created_vcpus);
  [[nodiscard]] std::uint32_t tsc_khz();
  /// KVM_SET_CLOCK, KVM_GET_CLOCK: kvmclock, in nanoseconds. It stands still.
  void set_clock(std::uint64_t clock);
  [[nodiscard]] std::uint64_t clock();

  [[nodiscard]] bool is_boot_cpu(std::uint32_t id);
  /// Whether a vCPU may have this id: below what KVM_CAP_MAX_VCPU_ID set.
  [[nodiscard]] bool valid_id(std::uint32_t id);
  /// Whether an x2APIC offers to suppress EOI broadcasts
  /// (kvm_lapic_advertise_suppress_eoi_broadcast()).
  [[nodiscard]] bool offers_directed_eoi();
  [[nodiscard]] bool has_quirk(std::uint64_t quirk);
  [[nodiscard]] bool exception_payload();
  [[nodiscard]] bool triple_fault_event();
  [[nodiscard]] std::uint64_t hypercall_exits();
  [[nodiscard]] std::uint64_t bus_cycle_ns();

 private:
  /// As Interrupts' own.
  void reads() const { turn_.touch(0, schedule::Touch::How::kRead); }
  void writes() const { turn_.touch(0, schedule::Touch::How::kWrite); }

  Interrupts interrupts_;
  const schedule::Turn turn_{"VM state"};
  schedule::RawLock lock_;
  std::uint64_t mmu_pages_ TEEIO_GUARDED_BY(lock_) = 0;
  std::uint32_t boot_cpu_ TEEIO_GUARDED_BY(lock_) = 0;
  std::uint64_t max_ids_ TEEIO_GUARDED_BY(lock_) = 0;  ///< 0: not set
  std::uint32_t tsc_khz_ TEEIO_GUARDED_BY(lock_) = kHostTscKhz;
  std::uint64_t clock_ TEEIO_GUARDED_BY(lock_) = 0;
  std::uint64_t disabled_quirks_ TEEIO_GUARDED_BY(lock_) = 0;
  std::uint64_t bus_cycle_ns_ TEEIO_GUARDED_BY(lock_) = 1;
  std::uint64_t hypercall_exits_ TEEIO_GUARDED_BY(lock_) = 0;
  bool never_directed_eoi_ TEEIO_GUARDED_BY(lock_) = false;
  bool exception_payload_ TEEIO_GUARDED_BY(lock_) = false;
  bool triple_fault_event_ TEEIO_GUARDED_BY(lock_) = false;
};

}  // namespace teeio::kvm::x86
