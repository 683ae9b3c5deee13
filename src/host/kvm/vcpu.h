#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/types.h"
#include "host/kvm/counts.h"
#include "host/kvm/translate.h"
#include "host/kvm/vm.h"
#include "host/kvm/x86/vcpu_state.h"
#include "host/mm/caller.h"
#include "hw/cpu.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// Why KVM_RUN came back, as values; entry/ writes them into struct kvm_run.
struct VcpuExit {
  enum class Reason : std::uint8_t {
    kUnknown,
    kIo,
    kHypercall,  ///< KVM_HC_MAP_GPA_RANGE: args
    kHalt,
    kMmio,
    kShutdown,
    kInterrupted,  ///< a signal, or immediate_exit: KVM_RUN gives EINTR
    kMemoryFault,  ///< KVM_RUN gives EFAULT
    kVendor,       ///< a guest's call for the VMM, in the VM type's own terms
    kInternalError,
    kInterruptWindow,  ///< the VMM asked for it: KVM_INTERRUPT would be taken now
    kDeliveryFailed,   ///< an event is due, and the engine delivers none
    kIoapicEoi,        ///< number: the vector, for the VMM's I/O APIC
    kDebug,            ///< what KVM_SET_GUEST_DEBUG asked for: number, args
    kFailEntry,        ///< the processor refuses the guest's state: number, as its own reason
  } reason = Reason::kUnknown;
  bool write = false;
  std::uint8_t size = 0;  ///< kIo, kMmio: bytes
  std::uint16_t port = 0;
  std::uint16_t count = 0;  ///< kIo of INS or OUTS: elements of `size`; else 0
  std::uint64_t data = 0;
  Gpa gpa{0};                ///< kMmio, kMemoryFault
  std::uint64_t length = 0;  ///< kMemoryFault: bytes
  bool is_private = false;   ///< kMemoryFault
  bool emulated = false;  ///< kDebug: behind an instruction of KVM's own, so that nobody tells DR7
  std::uint64_t number = 0;    ///< kHypercall: nr; kDebug: the exception; kVendor: the VM type's
  std::uint64_t args[6] = {};  ///< kHypercall: args; kDebug: pc, dr6, dr7; kVendor: the VM type's
  /// kVendor: the guest's registers in the order of the CPU's numbers (x86: rax, rcx, rdx,
  /// rbx, rsp, rbp, rsi, rdi, r8–r15); 0 what the guest does not show.
  std::uint64_t registers[16] = {};
};

/// What the VMM gives back when it runs a vCPU again: the same places of
/// struct kvm_run that the exit used.
struct VcpuCompletion {
  std::uint64_t data = 0;        ///< kIo and kMmio reads
  ByteView elements = {};        ///< kIo reads with a count
  std::uint64_t ret = 0;         ///< kHypercall; kVendor: the VM type's status
  std::uint64_t values[6] = {};  ///< kVendor: the VM type's results
};

/// What the VMM asks of KVM_RUN: the input fields of struct kvm_run.
struct VcpuRequest {
  bool immediate_exit = false;
  bool interrupt_window = false;  ///< exit as soon as KVM_INTERRUPT would be taken
  std::uint64_t cr8 = 0;          ///< counts without an in-kernel local APIC
};

/// struct kvm_guest_debug, as values.
struct GuestDebug {
  std::uint32_t control = 0;  ///< kGuestDebug…
  std::uint64_t registers[8] = {};
};
inline constexpr std::uint32_t kGuestDebugEnable = 1U << 0U;
inline constexpr std::uint32_t kGuestDebugSingleStep = 1U << 1U;
inline constexpr std::uint32_t kGuestDebugSwBreakpoint = 1U << 16U;
inline constexpr std::uint32_t kGuestDebugHwBreakpoint = 1U << 17U;
inline constexpr std::uint32_t kGuestDebugInjectDb = 1U << 18U;
inline constexpr std::uint32_t kGuestDebugInjectBp = 1U << 19U;
inline constexpr std::uint32_t kGuestDebugBlockIrq = 1U << 20U;

/// What every exit shows: the output fields of struct kvm_run.
struct VcpuShown {
  bool interrupt_flag = false;
  bool ready_for_interrupt = false;
  std::uint64_t cr8 = 0;
  std::uint64_t apic_base = 0;
};

/// A virtual CPU (Linux: struct kvm_vcpu).
///
/// Lifetime: its Vm's, whatever becomes of its descriptor (VcpuFile).
/// Locking: vcpu->mutex for every ioctl; flush() needs none.
class Vcpu final {
 public:
  /// The engine of the VM's type, or else of the machine. Errors: the engine's.
  static Result<std::unique_ptr<Vcpu>> create(Vm& vm, std::uint32_t id);
  Vcpu(const Vcpu&) = delete;
  Vcpu& operator=(const Vcpu&) = delete;
  ~Vcpu();

  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] Vm& vm() { return vm_; }
  [[nodiscard]] schedule::Mutex& mutex() TEEIO_RETURN_CAPABILITY(mutex_) { return mutex_; }

  /// KVM_RUN: completes the last exit and runs to the next. Errors: EINVAL when
  /// the VM is not ready; EIO when it is or becomes dead; ENXIO without a guest
  /// engine on this machine. EINTR and EFAULT are exits here.
  Result<VcpuExit> run(mm::Caller& caller, const VcpuCompletion& completion,
                       const VcpuRequest& request) TEEIO_REQUIRES(mutex_);

  /// KVM_SET_GUEST_DEBUG. Errors: as registers(); EBUSY when it asks for an exception and one is
  /// pending.
  Result<void> set_guest_debug(const GuestDebug& debug) TEEIO_REQUIRES(mutex_);
  /// By the program, or DR7 has breakpoints.
  [[nodiscard]] bool is_debugged() TEEIO_REQUIRES(mutex_);

  /// KVM_SET_SIGNAL_MASK: what the thread blocks while it is in KVM_RUN; nullopt: its own mask.
  void set_signal_mask(mm::SignalMask mask) TEEIO_REQUIRES(mutex_);

  /// KVM_PRE_FAULT_MEMORY, one page: maps it as a guest's access would.
  /// Errors: ENOENT without a memslot; EFAULT, EIO as the fault.
  Result<void> pre_fault(mm::Caller& caller, Gpa page) TEEIO_REQUIRES(mutex_);

  /// The engine's registers. Errors: EINVAL when they are the guest's secret
  /// (vcpu->arch.guest_state_protected); ENXIO without an engine.
  Result<hw::CpuRegisters> registers() TEEIO_REQUIRES(mutex_);
  Result<void> set_registers(const hw::CpuRegisters& registers) TEEIO_REQUIRES(mutex_);
  Result<void> special(std::span<std::byte> out) TEEIO_REQUIRES(mutex_);
  /// With PAE paging PDPTRs come from `memory`, the program's, unless they are given. Errors:
  /// EINVAL also for what the vCPU's CPUID does not allow.
  Result<void> set_special(ByteView in, mm::UserMemory& memory,
                           const std::optional<hw::Pdptrs>& pdptrs = {}) TEEIO_REQUIRES(mutex_);
  /// What decides how the guest's addresses are translated. Errors: as registers().
  Result<GuestPaging> paging(mm::UserMemory& memory) TEEIO_REQUIRES(mutex_);

  /// The exit that the next run() completes; of kUnknown when there is none.
  [[nodiscard]] VcpuExit exit_due() const TEEIO_REQUIRES(mutex_) {
    return completion_due_ ? last_exit_ : VcpuExit{};
  }
  /// Why the engine came back last.
  [[nodiscard]] const hw::CpuExit& guest_exit() const { return guest_exit_; }
  [[nodiscard]] VcpuCounts& counts() { return counts_; }
  /// CPUID, MSRs, events and the local APIC. Errors of `readable_state()`: EINVAL when the
  /// state is the guest's secret.
  [[nodiscard]] x86::VcpuState& x86() TEEIO_REQUIRES(mutex_);
  Result<x86::VcpuState*> readable_state() TEEIO_REQUIRES(mutex_);
  /// One MSR of KVM_GET_MSRS and KVM_SET_MSRS; nullopt and false: the ioctl stops there.
  std::optional<std::uint64_t> msr(std::uint32_t index) TEEIO_REQUIRES(mutex_);
  bool set_msr(std::uint32_t index, std::uint64_t value) TEEIO_REQUIRES(mutex_);
  /// post_kvm_run_save().
  VcpuShown shown() TEEIO_REQUIRES(mutex_);

  /// The engine, for the vendor's own use of registers; null without one.
  [[nodiscard]] hw::Cpu* cpu() { return cpu_.get(); }
  /// The vendor's per-vCPU control page; 0 until it exists.
  [[nodiscard]] Hpa firmware_handle() const { return firmware_handle_; }
  void set_firmware_handle(Hpa handle) { firmware_handle_ = handle; }

  /// Drops cached translations and waits until the guest has left its present
  /// stretch of running.
  void flush(Gpa start, std::uint64_t size) TEEIO_EXCLUDES(guest_mode_lock_);

 private:
  /// The VM's tables as this engine sees them.
  class Tables final : public hw::GuestMemory {
   public:
    explicit Tables(Vm& vm) : vm_(vm) {}
    std::expected<hw::GuestMapping, Miss> lookup(Gpa page, hw::GuestAccess access) override;
    Result<void> read(const hw::GuestMapping& mapping, std::uint64_t offset,
                      std::span<std::byte> out) override;
    Result<void> write(const hw::GuestMapping& mapping, std::uint64_t offset, ByteView in) override;
    std::span<std::byte> direct(const hw::GuestMapping& mapping) override;

   private:
    Vm& vm_;
  };

  Vcpu(Vm& vm, std::uint32_t id);
  hw::CpuExit run_guest(bool only_finish) TEEIO_EXCLUDES(guest_mode_lock_);
  bool finish_emulated() TEEIO_REQUIRES(mutex_);
  void end_store(const VcpuExit& exit) TEEIO_REQUIRES(mutex_);
  void debug_exit(const hw::CpuExit& reason, VcpuExit& exit) TEEIO_REQUIRES(mutex_);
  [[nodiscard]] VcpuExit step_exit() const TEEIO_REQUIRES(mutex_);
  bool resumes(VcpuExit& exit) TEEIO_REQUIRES(mutex_);
  /// __kvm_set_rflags(): a step goes on from where KVM_SET_GUEST_DEBUG asked for it.
  void set_flags(bool own_trap) TEEIO_REQUIRES(mutex_);
  /// What the exit before asked the VMM for; gives the next exit, where that asks for more.
  std::optional<VcpuExit> complete(const VcpuCompletion& completion) TEEIO_REQUIRES(mutex_);
  std::optional<VcpuExit> complete_access(const VcpuCompletion& completion) TEEIO_REQUIRES(mutex_);
  std::optional<VcpuExit> complete_call(const VcpuCompletion& completion) TEEIO_REQUIRES(mutex_);
  /// True: back into the guest; false: `exit` is for the VMM.
  Result<bool> handle(mm::Caller& caller, const hw::CpuExit& reason, VcpuExit& exit)
      TEEIO_REQUIRES(mutex_);
  Result<bool> handle_fault(mm::Caller& caller, Gpa address, hw::GuestAccess access, VcpuExit& exit)
      TEEIO_REQUIRES(mutex_);
  Result<void> check_registers() const;
  /// The registers that KVM and the engine share, as the engine has them.
  Result<x86::ControlRegisters> control() const;
  Result<void> update_special(std::size_t offset, ByteView value) TEEIO_REQUIRES(mutex_);
  /// Before the guest: a vCPU that waits, an event that is due. Nullopt: run.
  std::optional<VcpuExit> before_guest(mm::Caller& caller, const VcpuRequest& request)
      TEEIO_REQUIRES(mutex_);
  /// Before its INIT a vCPU runs nothing: EAGAIN, once that has come.
  Result<VcpuExit> wait_for_init(mm::Caller& caller, const VcpuRequest& request)
      TEEIO_REQUIRES(mutex_);
  /// kvm_vcpu_block(), as long as `waits` says so. False: a signal is pending.
  template <class Waits>
  bool block(mm::Caller& caller, Waits waits) TEEIO_REQUIRES(mutex_);
  [[nodiscard]] bool interrupts_on() const;
  void accept_startup() TEEIO_REQUIRES(mutex_);
  void answer_cpuid() TEEIO_REQUIRES(mutex_);
  /// kvm_emulate_hypercall(): whether the guest goes on.
  bool hypercall(VcpuExit& exit) TEEIO_REQUIRES(mutex_);
  /// A store that an ioeventfd takes is no exit.
  [[nodiscard]] bool taken_by_eventfd(const VcpuExit& exit);

  Vm& vm_;
  const std::uint32_t id_;
  Tables tables_;
  std::unique_ptr<hw::Cpu> cpu_;
  std::unique_ptr<x86::VcpuState> x86_;
  Hpa firmware_handle_{0};
  VcpuCounts counts_;

  schedule::Mutex mutex_{schedule::Rank::kVcpuMutex};
  hw::CpuExit guest_exit_;
  VcpuExit last_exit_ TEEIO_GUARDED_BY(mutex_);
  mm::SignalMask signal_mask_ TEEIO_GUARDED_BY(mutex_);
  GuestDebug debug_ TEEIO_GUARDED_BY(mutex_);
  std::uint64_t step_rip_ TEEIO_GUARDED_BY(mutex_) = 0;  ///< vcpu->arch.singlestep_rip
  /// What the guest did behind a store whose exit the VMM has not answered yet.
  std::optional<hw::CpuExit> next_ TEEIO_GUARDED_BY(mutex_);
  x86::Interrupts::Vectors level_vectors_ TEEIO_GUARDED_BY(mutex_);
  std::optional<std::uint8_t> pending_eoi_ TEEIO_GUARDED_BY(mutex_);  ///< KVM_REQ_IOAPIC_EOI_EXIT
  bool completion_due_ TEEIO_GUARDED_BY(mutex_) = false;
  bool has_run_ TEEIO_GUARDED_BY(mutex_) = false;  ///< so that the VM flushes it

  schedule::Mutex guest_mode_lock_{schedule::Rank::kLeaf};
  schedule::Condition left_guest_;
  schedule::Condition halted_;  ///< a halted vCPU looks for signals from here
  bool in_guest_ TEEIO_GUARDED_BY(guest_mode_lock_) = false;
  std::uint64_t stretches_ TEEIO_GUARDED_BY(guest_mode_lock_) = 0;
};

}  // namespace teeio::kvm
