#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "host/kvm/x86/cpuid.h"
#include "host/kvm/x86/lapic.h"
#include "host/kvm/x86/msrs.h"
#include "host/kvm/x86/vm_state.h"

namespace teeio::kvm::x86 {

/// KVM_MP_STATE_*.
enum class MpState : std::uint8_t {
  kRunnable = 0,
  kUninitialized = 1,
  kInitReceived = 2,
  kHalted = 3,
  kSipiReceived = 4,
  kApResetHold = 9,
};

/// struct kvm_vcpu_events, as values.
struct VcpuEvents {
  struct {
    std::uint8_t injected = 0, nr = 0, has_error_code = 0, pending = 0;
    std::uint32_t error_code = 0;
  } exception;
  struct {
    std::uint8_t injected = 0, nr = 0, soft = 0, shadow = 0;
  } interrupt;
  struct {
    std::uint8_t injected = 0, pending = 0, masked = 0, pad = 0;
  } nmi;
  std::uint32_t sipi_vector = 0;
  std::uint32_t flags = 0;
  struct {
    std::uint8_t smm = 0, pending = 0, smm_inside_nmi = 0, latched_init = 0;
  } smi;
  std::uint8_t triple_fault_pending = 0;
  std::uint8_t reserved[26] = {};
  std::uint8_t exception_has_payload = 0;
  std::uint64_t exception_payload = 0;
};
// Of VcpuEvents::flags: KVM_VCPUEVENT_VALID_*.
inline constexpr std::uint32_t kValidNmiPending = 1;
inline constexpr std::uint32_t kValidSipiVector = 2;
inline constexpr std::uint32_t kValidShadow = 4;
inline constexpr std::uint32_t kValidSmm = 8;
inline constexpr std::uint32_t kValidPayload = 16;
inline constexpr std::uint32_t kValidTripleFault = 32;

/// struct kvm_debugregs without its reserved words.
struct DebugRegisters {
  std::uint64_t db[4] = {};
  std::uint64_t dr6 = 0xffff'0ff0;
  std::uint64_t dr7 = 0x400;
  std::uint64_t flags = 0;
};

/// What of the special registers KVM checks against the CPUID, or keeps itself.
struct ControlRegisters {
  std::uint64_t cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0, cr8 = 0, efer = 0, apic_base = 0;
  std::uint64_t interrupt_bitmap[4] = {};
};

inline constexpr std::size_t kXsaveSize = 4096;  // struct kvm_xsave

/// One vCPU's x86 state that is not in the guest engine.
/// Source: Linux arch/x86/kvm/x86.c, kvm_arch_vcpu_create(), kvm_vcpu_reset() and
/// kvm_arch_vcpu_ioctl().
///
/// Lifetime: owned by its vCPU; the VmState outlives it.
/// Locking: vcpu->mutex; the local APIC has Interrupts' lock.
class VcpuState {
 public:
  VcpuState(VmState& vm, std::uint32_t id);
  ~VcpuState();
  VcpuState(const VcpuState&) = delete;
  VcpuState& operator=(const VcpuState&) = delete;

  [[nodiscard]] Cpuid& cpuid() { return cpuid_; }
  [[nodiscard]] Msrs& msrs() { return msrs_; }
  [[nodiscard]] Lapic& lapic() { return lapic_; }
  [[nodiscard]] VmState& vm() { return vm_; }
  [[nodiscard]] bool lapic_in_kernel() const { return lapic_in_kernel_; }

  /// KVM_SET_CPUID2. Errors: Cpuid::set()'s.
  Result<void> set_cpuid(std::vector<CpuidEntry> entries);

  /// kvm_is_valid_sregs() and kvm_apic_set_base(): what CPUID does not allow.
  /// Errors: EINVAL.
  Result<void> set_control(const ControlRegisters& control);
  /// Puts KVM's own part into what the engine has: CR8, IA32_APIC_BASE, and the external
  /// interrupt that is pending.
  void show_control(ControlRegisters& control);
  /// The engine's CR4 and CR0 as they are now, for what depends on them.
  void note_cr4(std::uint64_t cr4);

  /// IA32_APIC_BASE. False: kvm_apic_set_base() refuses it.
  [[nodiscard]] std::uint64_t apic_base();
  [[nodiscard]] bool set_apic_base(std::uint64_t base);
  [[nodiscard]] std::uint64_t cr8();
  /// False: a reserved bit is set.
  bool set_cr8(std::uint64_t cr8);
  /// kvm_valid_efer().
  [[nodiscard]] bool valid_efer(std::uint64_t efer) const;

  // KVM_GET/SET_VCPU_EVENTS, MP_STATE, DEBUGREGS, LAPIC. Errors: EINVAL.
  VcpuEvents events();
  Result<void> set_events(VcpuEvents events);
  [[nodiscard]] MpState mp_state() const { return mp_state_; }
  Result<void> set_mp_state(std::uint32_t state);
  [[nodiscard]] const DebugRegisters& debug_registers() const { return debug_; }
  Result<void> set_debug_registers(const DebugRegisters& registers);
  Result<void> lapic_state(std::span<std::byte> out);
  Result<void> set_lapic_state(std::span<const std::byte> in);

  /// KVM_GET_XCRS, KVM_SET_XCRS of XCR0. Errors: EINVAL.
  [[nodiscard]] std::uint64_t xcr0() const { return xcr0_; }
  Result<void> set_xcr0(std::uint64_t value);
  /// KVM_GET_XSAVE and KVM_SET_XSAVE, kXsaveSize bytes. Errors: EINVAL.
  [[nodiscard]] std::array<std::byte, kXsaveSize> xsave() const;
  Result<void> set_xsave(std::span<const std::byte> in);
  /// KVM_GET_FPU and KVM_SET_FPU: x87 and SSE registers of an FXSAVE area; MXCSR stays. They do
  /// not say that a component is in use: xsave() has the initial values of one that is not.
  [[nodiscard]] std::span<const std::byte> fxsave() const { return xsave_; }
  void set_fxsave(std::span<const std::byte> in);

  /// KVM_INTERRUPT. Errors: EINVAL no such vector; ENXIO with an in-kernel PIC; EEXIST one is
  /// pending (split irqchip).
  Result<void> interrupt(std::uint32_t vector);
  /// Whether KVM_INTERRUPT would be taken: kvm_vcpu_ready_for_interrupt_injection(), as far as
  /// it is not the guest's flags.
  [[nodiscard]] bool interrupt_window() const;
  void inject_nmi();
  /// KVM_SET_REGS: one that is pending, and not injected yet, is of other registers.
  void drop_pending_exception() { events_.exception.pending = 0; }
  /// KVM_GUESTDBG_INJECT_…: an exception without an error code. Errors: EBUSY when one is pending.
  Result<void> inject_exception(std::uint8_t vector);
  /// Whether an exception, NMI or interrupt would be delivered before the next instruction.
  /// `blocked`: KVM_GUESTDBG_BLOCKIRQ, exceptions only.
  [[nodiscard]] bool event_due(bool interrupts_on, bool blocked);
  /// kvm_apic_accept_events(): INIT makes the vCPU wait for SIPI, whose vector this is.
  [[nodiscard]] std::optional<std::uint8_t> take_startup();
  /// KVM_X86_SET_MCE. Errors: EINVAL.
  Result<void> set_mce(const MachineCheck& check);

  /// KVM_TPR_ACCESS_REPORTING: what was set before. KVM_SET_VAPIC_ADDR.
  /// Errors: EINVAL without an in-kernel local APIC.
  Result<void> set_vapic_address(std::uint64_t address);
  void set_tpr_reporting(bool on) { tpr_reporting_ = on; }
  [[nodiscard]] std::uint32_t tsc_khz() const { return tsc_khz_; }
  void set_tsc_khz(std::uint32_t khz) { tsc_khz_ = khz; }
  [[nodiscard]] std::uint64_t tsc_offset() const { return tsc_offset_; }
  void set_tsc_offset(std::uint64_t offset) { tsc_offset_ = offset; }

  /// A triple fault that a program or a machine check asked for; taken by KVM_RUN.
  [[nodiscard]] bool take_triple_fault();

 private:
  [[nodiscard]] CpuidDynamic dynamic();
  void queue_exception(std::uint8_t vector);

  VmState& vm_;
  const bool lapic_in_kernel_;
  Cpuid cpuid_;
  Msrs msrs_;
  Lapic lapic_;
  VcpuEvents events_;
  MpState mp_state_ = MpState::kRunnable;
  DebugRegisters debug_;
  std::uint64_t xcr0_ = 1;
  std::array<std::byte, kXsaveSize> xsave_{};
  std::uint64_t cr4_ = 0;
  std::uint64_t cr8_ = 0;  ///< without an in-kernel local APIC
  std::int32_t external_vector_ = -1;
  std::uint64_t vapic_address_ = 0;
  bool tpr_reporting_ = false;
  std::uint32_t tsc_khz_;
  std::uint64_t tsc_offset_ = 0;
};

}  // namespace teeio::kvm::x86
