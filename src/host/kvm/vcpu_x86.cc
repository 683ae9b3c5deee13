#include <algorithm>
#include <cstring>
#include <utility>

#include "host/kvm/vcpu.h"
#include "host/kvm/x86/msr_numbers.h"

// The registers that KVM and the guest engine share, and what comes before the guest runs.
// Source: Linux arch/x86/kvm/regs.c and x86.c.

namespace teeio::kvm {
namespace {

namespace msr = x86::msr;

// Offsets in struct kvm_sregs.
constexpr std::size_t kSregsSize = 312;
constexpr std::size_t kCsOffset = 0;
constexpr std::size_t kSegmentSize = 24;
constexpr std::size_t kFsOffset = 3 * kSegmentSize;
constexpr std::size_t kGsOffset = 4 * kSegmentSize;
constexpr std::size_t kControlOffset = 224;
constexpr std::size_t kEferOffset = kControlOffset + offsetof(x86::ControlRegisters, efer);
static_assert(kControlOffset + sizeof(x86::ControlRegisters) == kSregsSize);

constexpr std::uint64_t kTrapFlag = 1U << 8U;
constexpr std::uint64_t kInterruptFlag = 1U << 9U;
constexpr std::uint64_t kEferLma = 1U << 10U;

using Sregs = std::array<std::byte, kSregsSize>;

template <class T>
T load(ByteView sregs, std::size_t at) {
  T value{};
  std::memcpy(&value, sregs.data() + at, sizeof value);
  return value;
}

VcpuExit exit_for(VcpuExit::Reason reason) {
  VcpuExit exit;
  exit.reason = reason;
  return exit;
}

GuestPaging paging_of(const x86::ControlRegisters& control) {
  return {.cr0 = control.cr0, .cr3 = control.cr3, .cr4 = control.cr4, .efer = control.efer};
}

}  // namespace

/// What depends on CR4 is as the guest left it.
x86::VcpuState& Vcpu::x86() {
  if (cpu_ != nullptr && !vm_.ops().guest_state_protected())
    if (const auto now = control(); now) x86_->note_cr4(now->cr4);
  return *x86_;
}

Result<x86::VcpuState*> Vcpu::readable_state() {
  if (vm_.ops().guest_state_protected())
    return fail(Errno::kInval, "the guest's registers are its secret");
  return &x86();
}

Result<void> Vcpu::set_registers(const hw::CpuRegisters& registers) {
  TEEIO_TRY(check_registers());
  hw::CpuRegisters taken = registers;
  if ((debug_.control & kGuestDebugSingleStep) != 0) taken.rflags &= ~kTrapFlag;
  cpu_->set_registers(taken);
  set_flags((registers.rflags & kTrapFlag) != 0);
  x86_->drop_pending_exception();
  return {};
}

Result<x86::ControlRegisters> Vcpu::control() const {
  Sregs sregs{};
  TEEIO_TRY(cpu_->get_special(sregs));
  return load<x86::ControlRegisters>(sregs, kControlOffset);
}

Result<void> Vcpu::special(std::span<std::byte> out) {
  TEEIO_TRY(check_registers());
  TEEIO_TRY(cpu_->get_special(out));
  auto control = load<x86::ControlRegisters>(out, kControlOffset);
  x86_->show_control(control);
  std::memcpy(out.data() + kControlOffset, &control, sizeof control);
  return {};
}

/// __set_sregs(): nothing changes unless all of it may.
Result<void> Vcpu::set_special(ByteView in, mm::UserMemory& memory,
                               const std::optional<hw::Pdptrs>& pdptrs) {
  TEEIO_TRY(check_registers());
  Sregs before{};
  TEEIO_TRY(cpu_->get_special(before));
  const auto old_pdptrs = cpu_->pdptrs();
  TEEIO_TRY(cpu_->set_special(in));
  const auto wanted = load<x86::ControlRegisters>(in, kControlOffset);
  if (auto allowed = x86_->set_control(wanted); !allowed) {
    TEEIO_TRY(cpu_->set_special(before));
    if (old_pdptrs) cpu_->set_pdptrs(*old_pdptrs);
    return allowed;
  }
  if (paging_of(wanted).pae()) {
    // What cannot be loaded stays as it was.
    const auto loaded =
        pdptrs ? pdptrs : load_pdptrs(vm_, memory, wanted.cr3, x86_->cpuid().reserved_gpa_bits());
    cpu_->set_pdptrs(loaded ? *loaded : old_pdptrs.value_or(hw::Pdptrs{}));
  }
  return {};
}

Result<GuestPaging> Vcpu::paging(mm::UserMemory& memory) {
  TEEIO_TRY(check_registers());
  TEEIO_ASSIGN(const auto now, control());
  GuestPaging found = paging_of(now);
  if (!found.pae()) return found;
  found.pdptrs = cpu_->pdptrs();
  if (!found.pdptrs)
    found.pdptrs = load_pdptrs(vm_, memory, now.cr3, x86_->cpuid().reserved_gpa_bits());
  return found;
}

Result<void> Vcpu::update_special(std::size_t offset, ByteView value) {
  Sregs sregs{};
  TEEIO_TRY(cpu_->get_special(sregs));
  std::copy(value.begin(), value.end(), sregs.begin() + static_cast<std::ptrdiff_t>(offset));
  const auto pdptrs = cpu_->pdptrs();
  TEEIO_TRY(cpu_->set_special(sregs));
  if (pdptrs) cpu_->set_pdptrs(*pdptrs);
  return {};
}

std::optional<std::uint64_t> Vcpu::msr(std::uint32_t index) {
  std::uint64_t value = 0;
  if (index == msr::kApicBase) return x86_->apic_base();
  if (index >= msr::kX2apicFirst && index <= msr::kX2apicLast) {
    if (!x86_->lapic_in_kernel()) return std::nullopt;
    const bool known = vm_.x86().interrupts().with_lapic(
        x86_->lapic(), [&](x86::Lapic& lapic, bool) { return lapic.read_msr(index, value); });
    return known ? std::optional(value) : std::nullopt;
  }
  const bool engines = index == msr::kEfer || index == msr::kFsBase || index == msr::kGsBase;
  if (!engines) return x86_->msrs().get(index);
  Sregs sregs{};
  if (!check_registers() || !cpu_->get_special(sregs)) return std::nullopt;
  if (index == msr::kEfer) return load<std::uint64_t>(sregs, kEferOffset);
  return load<std::uint64_t>(sregs, index == msr::kFsBase ? kFsOffset : kGsOffset);
}

bool Vcpu::set_msr(std::uint32_t index, std::uint64_t value) {
  if (index == msr::kApicBase) return x86_->set_apic_base(value);
  if (index >= msr::kX2apicFirst && index <= msr::kX2apicLast) {
    if (!x86_->lapic_in_kernel()) return false;
    const auto write = vm_.x86().interrupts().set_msr(x86_->lapic(), index, value);
    for (const std::uint32_t gsi : write.acknowledged) vm_.irq_fds().acknowledged(gsi);
    // kvm_ioapic_send_eoi()
    if (write.split_eoi && level_vectors_.test(*write.split_eoi)) pending_eoi_ = write.split_eoi;
    return write.known;
  }
  if (index == msr::kEfer) {
    // set_efer(): LMA is the processor's own.
    auto now = control();
    if (!check_registers() || !now) return false;
    constexpr std::uint64_t kSupported = 0x901 | kEferLma;
    if ((value & ~kSupported) != 0) return false;
    value = (value & ~kEferLma) | (now->efer & kEferLma);
    return update_special(kEferOffset, bytes_of(value)).has_value();
  }
  if (index != msr::kFsBase && index != msr::kGsBase) return x86_->msrs().set(index, value);
  const auto top = static_cast<std::int64_t>(value) >> 47;
  if (!check_registers() || (top != 0 && top != -1)) return false;
  return update_special(index == msr::kFsBase ? kFsOffset : kGsOffset, bytes_of(value)).has_value();
}

bool Vcpu::is_debugged() {
  constexpr std::uint64_t kFixedOne = 0x400;  // DR7_FIXED_1
  return debug_.control != 0 || (x86_->debug_registers().dr7 & ~kFixedOne) != 0;
}

Result<void> Vcpu::set_guest_debug(const GuestDebug& debug) {
  TEEIO_TRY(check_registers());
  if (cpu_->arm() != nullptr) return fail(Errno::kInval, "a vCPU of Arm's is not debugged");
  if ((debug.control & (kGuestDebugInjectDb | kGuestDebugInjectBp)) != 0)
    TEEIO_TRY(x86_->inject_exception(
        (debug.control & kGuestDebugInjectDb) != 0 ? hw::kDebugVector : hw::kBreakpointVector));
  debug_ = debug;
  if ((debug.control & kGuestDebugEnable) == 0) debug_ = {};
  hw::CpuDebug wanted{.single_step = (debug_.control & kGuestDebugSingleStep) != 0,
                      .int3 = (debug_.control & kGuestDebugSwBreakpoint) != 0,
                      .breakpoints = (debug_.control & kGuestDebugHwBreakpoint) != 0};
  std::copy_n(std::begin(debug_.registers), wanted.address.size(), wanted.address.begin());
  wanted.dr7 = debug_.registers[7];
  hw::CpuRegisters registers = cpu_->registers();
  step_rip_ = registers.rip;
  if (wanted.single_step && (registers.rflags & kTrapFlag) != 0) {  // the guest's own is lost
    registers.rflags &= ~kTrapFlag;
    cpu_->set_registers(registers);
  }
  cpu_->set_debug(wanted);
  return {};
}

void Vcpu::set_flags(bool own_trap) {
  if ((debug_.control & kGuestDebugSingleStep) != 0)
    cpu_->set_stepping(own_trap || cpu_->registers().rip == step_rip_);
}

/// kvm_vcpu_do_singlestep()
VcpuExit Vcpu::step_exit() const {
  constexpr std::uint64_t kSingleStep = 0xffff'4ff0;  // DR6_BS | DR6_ACTIVE_LOW
  VcpuExit exit = exit_for(VcpuExit::Reason::kDebug);
  exit.number = hw::kDebugVector;
  exit.args[0] = cpu_->registers().rip;
  exit.args[1] = kSingleStep;
  exit.emulated = true;
  return exit;
}

/// db_interception() and bp_interception(): INT3 leaves DR6 and DR7 as they were. A code segment
/// starts at 0 here, so that RIP is linear.
void Vcpu::debug_exit(const hw::CpuExit& reason, VcpuExit& exit) {
  exit.reason = VcpuExit::Reason::kDebug;
  exit.number = reason.vector;
  exit.args[0] = cpu_->registers().rip;
  exit.args[1] = reason.dr6;
  exit.args[2] = (debug_.control & kGuestDebugHwBreakpoint) != 0 ? debug_.registers[7]
                                                                 : x86_->debug_registers().dr7;
}

bool Vcpu::interrupts_on() const {
  return !vm_.ops().guest_state_protected() && (cpu_->registers().rflags & kInterruptFlag) != 0;
}

VcpuShown Vcpu::shown() {
  const bool on = interrupts_on();
  return {.interrupt_flag = on,
          .ready_for_interrupt = on && x86_->interrupt_window(),
          .cr8 = x86_->cr8(),
          .apic_base = x86_->apic_base()};
}

/// Nothing wakes a halted vCPU but INIT, SIPI, another ioctl or a signal.
template <class Waits>
bool Vcpu::block(mm::Caller& caller, Waits waits) {
  constexpr std::uint64_t kLookForSignals = 2'000'000;  // ns
  vm_.irq_fds().poll();
  accept_startup();
  while (waits() && !vm_.dead()) {
    if (caller.signal_pending(signal_mask_)) {
      counts_.add(VcpuCount::kSignalExits);
      return false;
    }
    {
      const schedule::Lock lock(guest_mode_lock_);
      (void)halted_.wait_for(guest_mode_lock_, kLookForSignals);
    }
    vm_.irq_fds().poll();
    accept_startup();
  }
  return true;
}

Result<VcpuExit> Vcpu::wait_for_init(mm::Caller& caller, const VcpuRequest& request) {
  if (request.immediate_exit) return exit_for(VcpuExit::Reason::kInterrupted);
  const auto waits = [this] { return x86_->mp_state() == x86::MpState::kUninitialized; };
  if (!block(caller, waits)) return exit_for(VcpuExit::Reason::kInterrupted);
  return fail(Errno::kAgain, "the vCPU has its INIT, and nothing to run yet");
}

std::optional<VcpuExit> Vcpu::before_guest(mm::Caller& caller, const VcpuRequest& request) {
  const auto waits = [this] {
    return x86_->mp_state() != x86::MpState::kRunnable || vm_.ops().vcpu_is_off(*this);
  };
  if (!block(caller, waits)) return exit_for(VcpuExit::Reason::kInterrupted);
  if (x86_->take_triple_fault()) return exit_for(VcpuExit::Reason::kShutdown);
  if (const auto vector = std::exchange(pending_eoi_, std::nullopt);
      vector && level_vectors_.test(*vector)) {
    VcpuExit exit = exit_for(VcpuExit::Reason::kIoapicEoi);
    exit.number = *vector;
    return exit;
  }
  if (x86_->lapic_in_kernel()) level_vectors_ = vm_.x86().interrupts().level_vectors(x86_->lapic());
  const bool on = interrupts_on();
  if (x86_->event_due(on, (debug_.control & kGuestDebugBlockIrq) != 0))
    return exit_for(VcpuExit::Reason::kDeliveryFailed);
  // A VM entry wants bits 63:32 of DR7 clear (SDM vol. 3, 28.3.1.1).
  if ((debug_.control & kGuestDebugHwBreakpoint) != 0 && debug_.registers[7] >> 32U != 0) {
    VcpuExit exit = exit_for(VcpuExit::Reason::kFailEntry);
    exit.number = 0x8000'0021;  // invalid guest state
    return exit;
  }
  if (request.interrupt_window && on && x86_->interrupt_window())
    return exit_for(VcpuExit::Reason::kInterruptWindow);
  return std::nullopt;
}

/// kvm_apic_accept_events(), of a startup IPI.
void Vcpu::accept_startup() {
  const auto vector = x86_->take_startup();
  if (!vector) return;
  struct {
    std::uint64_t base;
    std::uint32_t limit;
    std::uint16_t selector;
  } cs{.base = std::uint64_t{*vector} << 12U,
       .limit = 0xffff,
       .selector = static_cast<std::uint16_t>(*vector << 8U)};
  constexpr std::size_t kThreeFields = 14;
  (void)update_special(kCsOffset, bytes_of(cs).first(kThreeFields));
  hw::CpuRegisters registers = cpu_->registers();
  registers.rip = 0;
  cpu_->set_registers(registers);
}

void Vcpu::answer_cpuid() {
  hw::CpuRegisters registers = cpu_->registers();
  const auto function = static_cast<std::uint32_t>(registers.rax);
  const auto index = static_cast<std::uint32_t>(registers.rcx);
  const auto firmwares = vm_.ops().guest_cpuid(function, index);
  const x86::CpuidEntry entry = firmwares ? *firmwares : x86().cpuid().answer(function, index);
  registers.rax = entry.eax;
  registers.rbx = entry.ebx;
  registers.rcx = entry.ecx;
  registers.rdx = entry.edx;
  cpu_->set_registers(registers);
}

/// Of the calls only KVM_HC_MAP_GPA_RANGE is known, and only as an exit.
bool Vcpu::hypercall(VcpuExit& exit) {
  constexpr std::uint64_t kMapGpaRange = 12;
  constexpr std::uint64_t kNoSuchCall = ~std::uint64_t{1000} + 1;  // -KVM_ENOSYS
  constexpr std::uint64_t kWrong = ~std::uint64_t{22} + 1;         // -KVM_EINVAL
  if (vm_.ops().guest_state_protected()) {
    exit.reason = VcpuExit::Reason::kShutdown;  // #VE, which nobody delivers
    return false;
  }
  hw::CpuRegisters registers = cpu_->registers();
  const std::uint64_t first = registers.rbx >> kPageShift;
  if (registers.rax != kMapGpaRange || vm_.x86().hypercall_exits() == 0) {
    registers.rax = kNoSuchCall;
  } else if (!is_page_aligned(registers.rbx) || first + registers.rcx <= first) {
    registers.rax = kWrong;
  } else {
    exit.reason = VcpuExit::Reason::kHypercall;
    exit.number = kMapGpaRange;
    exit.args[0] = registers.rbx;
    exit.args[1] = registers.rcx;
    exit.args[2] = registers.rdx;
    return false;
  }
  const auto now = control();
  if (now && (now->efer & kEferLma) == 0) registers.rax &= 0xffff'ffffU;
  cpu_->set_registers(registers);
  return true;
}

}  // namespace teeio::kvm
