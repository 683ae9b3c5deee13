#include "host/kvm/vcpu.h"

#include <csignal>
#include <utility>

#include "host/kvm/kvm.h"
#include "host/kvm/x86/msr_numbers.h"

namespace teeio::kvm {
namespace {

constexpr auto kHaltedState = static_cast<std::uint32_t>(x86::MpState::kHalted);

/// IA32_APIC_BASE is one register to guest and owner: there before the guest runs, and taken
/// from it after. A value that KVM refuses is dropped, where a processor raises #GP.
class SharedApicBase {
 public:
  SharedApicBase(hw::Cpu& cpu, x86::VcpuState& state) : cpu_(cpu), state_(state) {
    cpu_.set_msr(x86::msr::kApicBase, state_.apic_base());
  }
  void take() {
    if (const auto base = cpu_.msr(x86::msr::kApicBase)) (void)state_.set_apic_base(*base);
  }

 private:
  hw::Cpu& cpu_;
  x86::VcpuState& state_;
};

}  // namespace

std::expected<hw::GuestMapping, hw::GuestMemory::Miss> Vcpu::Tables::lookup(
    Gpa page, hw::GuestAccess access) {
  return vm_.mmu().lookup(page, access);
}

Result<void> Vcpu::Tables::read(const hw::GuestMapping& mapping, std::uint64_t offset,
                                std::span<std::byte> out) {
  return vm_.kvm().memory().read(mapping.address + offset, out, mapping.key);
}

Result<void> Vcpu::Tables::write(const hw::GuestMapping& mapping, std::uint64_t offset,
                                 ByteView in) {
  return vm_.kvm().memory().write(mapping.address + offset, in, mapping.key);
}

std::span<std::byte> Vcpu::Tables::direct(const hw::GuestMapping& mapping) {
  if (mapping.mmio) return {};
  if (vm_.kvm().memory().key_of(mapping.address) != mapping.key) return {};
  const std::span<std::byte> bytes = vm_.kvm().memory().direct(mapping.address);
  return bytes.size() < kPageSize ? std::span<std::byte>{} : bytes.first(kPageSize);
}

Result<std::unique_ptr<Vcpu>> Vcpu::create(Vm& vm, std::uint32_t id) {
  std::unique_ptr<Vcpu> vcpu(new Vcpu(vm, id));
  hw::CpuFactory* const own = vm.ops().cpus();
  if (hw::CpuFactory* cpus = own != nullptr ? own : vm.kvm().cpus(); cpus != nullptr) {
    TEEIO_ASSIGN(vcpu->cpu_, cpus->make(vcpu->tables_));
  }
  vcpu->x86_ = std::make_unique<x86::VcpuState>(vm.x86(), id);
  return vcpu;
}

Vcpu::Vcpu(Vm& vm, std::uint32_t id) : vm_(vm), id_(id), tables_(vm) {}

Vcpu::~Vcpu() = default;

Result<VcpuExit> Vcpu::run(mm::Caller& caller, const VcpuCompletion& completion,
                           const VcpuRequest& request) {
  if (cpu_ == nullptr) return fail(Errno::kNxio, "this machine has no guest engine");
  TEEIO_TRY(cpu_->open());
  TEEIO_TRY(vm_.ops().vcpu_pre_run(*this));
  if (!std::exchange(has_run_, true)) vm_.flushes(*this);
  if (x86_->mp_state() == x86::MpState::kUninitialized) return wait_for_init(caller, request);
  if (!x86_->lapic_in_kernel() && !x86_->set_cr8(request.cr8))
    return fail(Errno::kInval, "a reserved bit of cr8 is set");
  if (const auto next = complete(completion)) return *next;
  VcpuExit exit;
  for (;;) {
    if (vm_.dead()) return fail(Errno::kIo, "the VM is dead (KVM_BUG_ON)");
    const bool leaves = request.immediate_exit || caller.signal_pending(signal_mask_);
    // complete_emulated_mmio(): what was begun is at its end before anybody is told of a signal.
    const bool only_finish = leaves && (next_ || cpu_->inside_instruction());
    if (leaves && !only_finish) {
      if (!request.immediate_exit) counts_.add(VcpuCount::kSignalExits);
      exit.reason = VcpuExit::Reason::kInterrupted;
      return exit;
    }
    if (!only_finish)
      if (auto due = before_guest(caller, request)) return *due;
    x86_->cpuid().freeze();
    TEEIO_TRY(vm_.ops().vcpu_enter(*this));
    const auto next = std::exchange(next_, std::nullopt);
    std::optional<SharedApicBase> base;
    if (cpu_->arm() == nullptr && !vm_.ops().guest_state_protected()) base.emplace(*cpu_, *x86_);
    const hw::CpuExit reason = next ? *next : run_guest(only_finish);
    if (base) base->take();
    vm_.ops().vcpu_leave(*this, reason);
    counts_.add(VcpuCount::kExits);
    TEEIO_ASSIGN(const bool again, handle(caller, reason, exit));
    if (again) continue;
    last_exit_ = exit;
    completion_due_ = true;
    if (taken_by_eventfd(exit)) {
      if (const auto step = complete({})) return *step;
      continue;
    }
    if (exit.reason == VcpuExit::Reason::kMmio) counts_.add(VcpuCount::kMmioExits);
    end_store(exit);
    return exit;
  }
}

/// x86_emulate_instruction(): the registers are a store's already when the VMM is told of it.
void Vcpu::end_store(const VcpuExit& exit) {
  const bool store = exit.reason == VcpuExit::Reason::kMmio && exit.write && exit.number == 0;
  if (!store || cpu_->arm() != nullptr) return;
  (void)finish_emulated();
}

/// x86_emulate_instruction(), from its last access to its end. False: there is more to do.
bool Vcpu::finish_emulated() {
  using Reason = hw::CpuExit::Reason;
  const hw::CpuExit rest = run_guest(true);
  if (rest.reason == Reason::kFinished) {
    (void)cpu_->take_step();
    set_flags(false);
    return true;
  }
  if (rest.reason != Reason::kKicked) next_ = rest;
  return false;
}

/// kvm_vcpu_ioctl_set_sigmask(): nobody blocks SIGKILL or SIGSTOP.
void Vcpu::set_signal_mask(mm::SignalMask mask) {
  constexpr std::uint64_t kNeverBlocked = 1U << (SIGKILL - 1U) | 1U << (SIGSTOP - 1U);
  if (mask) *mask &= ~kNeverBlocked;
  signal_mask_ = mask;
}

hw::CpuExit Vcpu::run_guest(bool only_finish) {
  {
    const schedule::Lock lock(guest_mode_lock_);
    in_guest_ = true;
  }
  const hw::CpuExit reason = only_finish ? cpu_->finish_instruction() : cpu_->run();
  const schedule::Lock lock(guest_mode_lock_);
  in_guest_ = false;
  ++stretches_;
  left_guest_.notify_all();
  return reason;
}

void Vcpu::flush(Gpa start, std::uint64_t size) {
  if (cpu_ == nullptr) return;
  cpu_->flush(start, size);
  // A confidential guest reaches the page under its shared alias as well.
  if (const Gpa alias = vm_.ops().shared_alias(start); alias != start) cpu_->flush(alias, size);
  const schedule::Lock lock(guest_mode_lock_);
  const std::uint64_t stretch = stretches_;
  if (!in_guest_) return;
  cpu_->kick();
  while (in_guest_ && stretches_ == stretch) left_guest_.wait(guest_mode_lock_);
}

bool Vcpu::taken_by_eventfd(const VcpuExit& exit) {
  using Bus = IoEventFdRequest::Bus;
  if (!exit.write) return false;
  if (exit.reason == VcpuExit::Reason::kMmio)
    return vm_.io_event_fds().written(Bus::kMmio, raw(exit.gpa), exit.size, exit.data);
  return exit.reason == VcpuExit::Reason::kIo &&
         vm_.io_event_fds().written(Bus::kPort, exit.port, exit.size, exit.data);
}

std::optional<VcpuExit> Vcpu::complete(const VcpuCompletion& completion) {
  if (!completion_due_) return std::nullopt;
  completion_due_ = false;
  switch (last_exit_.reason) {
    case VcpuExit::Reason::kIo:
    case VcpuExit::Reason::kMmio:
      // number: the guest's call that the exit stands for; 0 for an instruction.
      return last_exit_.number != 0 ? complete_call(completion) : complete_access(completion);
    case VcpuExit::Reason::kHypercall:
      if (!vm_.ops().guest_state_protected()) {
        hw::CpuRegisters registers = cpu_->registers();
        registers.rax = completion.ret;
        cpu_->set_registers(registers);
        return std::nullopt;
      }
      return complete_call(completion);
    case VcpuExit::Reason::kVendor:
      return complete_call(completion);
    case VcpuExit::Reason::kUnknown:
    case VcpuExit::Reason::kHalt:
    case VcpuExit::Reason::kShutdown:
    case VcpuExit::Reason::kInterrupted:
    case VcpuExit::Reason::kMemoryFault:
    case VcpuExit::Reason::kInternalError:
    case VcpuExit::Reason::kInterruptWindow:
    case VcpuExit::Reason::kDeliveryFailed:
    case VcpuExit::Reason::kIoapicEoi:
    case VcpuExit::Reason::kDebug:
    case VcpuExit::Reason::kFailEntry:
      break;
  }
  return std::nullopt;
}

/// complete_fast_pio_in(), complete_emulated_mmio(): the step behind the instruction comes before
/// any signal.
std::optional<VcpuExit> Vcpu::complete_access(const VcpuCompletion& completion) {
  if (last_exit_.reason == VcpuExit::Reason::kIo) {
    if (last_exit_.count != 0 && !last_exit_.write)
      cpu_->complete_input(completion.elements);
    else
      cpu_->complete_io(completion.data);
    return cpu_->take_step() ? std::optional(step_exit()) : std::nullopt;
  }
  if (!last_exit_.write) cpu_->set_read_result(completion.data);
  // A store that is at its end already had its exit in place of the step (end_store()).
  const bool steps = (debug_.control & kGuestDebugSingleStep) != 0;
  if (!steps || next_ || !cpu_->inside_instruction()) return std::nullopt;
  return finish_emulated() ? std::optional(step_exit()) : std::nullopt;
}

std::optional<VcpuExit> Vcpu::complete_call(const VcpuCompletion& completion) {
  auto next = vm_.ops().complete_exit(*this, last_exit_, completion);
  if (!next) return next;
  last_exit_ = *next;
  completion_due_ = true;
  return next;
}

/// kvm_skip_emulated_instruction(): a single step ends behind it.
bool Vcpu::resumes(VcpuExit& exit) {
  if (!cpu_->take_step()) return true;
  exit = step_exit();
  return false;
}

Result<bool> Vcpu::handle(mm::Caller& caller, const hw::CpuExit& reason, VcpuExit& exit) {
  exit = {};
  guest_exit_ = reason;
  switch (reason.reason) {
    case hw::CpuExit::Reason::kKicked:
    case hw::CpuExit::Reason::kFinished:
      return true;
    case hw::CpuExit::Reason::kDebug:
      debug_exit(reason, exit);
      return false;
    case hw::CpuExit::Reason::kFault:
      return handle_fault(caller, reason.gpa, reason.access, exit);
    case hw::CpuExit::Reason::kGuestCall:
      switch (vm_.ops().guest_call(*this, exit)) {
        case VmOps::GuestCallAction::kResume:
          return true;
        case VmOps::GuestCallAction::kExit:
          return false;
        case VmOps::GuestCallAction::kFault:
          return handle_fault(caller, exit.gpa, hw::GuestAccess::kWrite, exit);
      }
      return false;
    case hw::CpuExit::Reason::kHalt:
      counts_.add(VcpuCount::kHaltExits);
      // kvm_emulate_halt(): with a local APIC of KVM's the vCPU waits here.
      if (x86_->lapic_in_kernel()) return x86_->set_mp_state(kHaltedState).has_value();
      exit.reason = VcpuExit::Reason::kHalt;
      return false;
    case hw::CpuExit::Reason::kHypercall:
      counts_.add(VcpuCount::kHypercalls);
      return hypercall(exit) && resumes(exit);
    case hw::CpuExit::Reason::kCpuid:
      answer_cpuid();
      return resumes(exit);
    case hw::CpuExit::Reason::kMmio:
      exit.reason = VcpuExit::Reason::kMmio;
      exit.gpa = vm_.ops().strip(reason.gpa);
      break;
    case hw::CpuExit::Reason::kIo:
      counts_.add(VcpuCount::kIoExits);
      exit.reason = VcpuExit::Reason::kIo;
      exit.port = reason.port;
      if (reason.write && reason.port == 0x7e && vm_.x86().has_quirk(x86::kQuirkOut7eIncRip)) {
        cpu_->complete_io(0);
        if (!resumes(exit)) return false;
      }
      break;
    case hw::CpuExit::Reason::kShutdown:
      exit.reason = VcpuExit::Reason::kShutdown;
      return false;
    case hw::CpuExit::Reason::kUnsupported:
      exit.reason = VcpuExit::Reason::kInternalError;
      return false;
  }
  exit.write = reason.write;
  exit.size = reason.size;
  exit.count = reason.count;
  exit.data = reason.data;
  return false;
}

Result<bool> Vcpu::handle_fault(mm::Caller& caller, Gpa address, hw::GuestAccess access,
                                VcpuExit& exit) {
  const Gpa page = page_of(address);
  counts_.add(VcpuCount::kFaults);
  const FaultOutcome outcome = vm_.mmu().fault(caller, page, access);
  switch (outcome.kind) {
    case FaultOutcome::Kind::kRetry:
      return true;
    case FaultOutcome::Kind::kError:
      return std::unexpected(outcome.error);
    case FaultOutcome::Kind::kMemoryFault:
      exit.reason = VcpuExit::Reason::kMemoryFault;
      exit.gpa = vm_.ops().strip(page);
      exit.length = kPageSize;
      exit.is_private = outcome.is_private;
      return false;
    case FaultOutcome::Kind::kEmulate:
      // The engine asks again with the page known as emulated: see Mmu::lookup().
      return true;
  }
  return true;
}

Result<void> Vcpu::pre_fault(mm::Caller& caller, Gpa page) {
  if (!vm_.ops().pre_fault_allowed())
    return fail(Errno::kOpNotSupp, "the VM's first memory is not complete");
  const VmOps& ops = vm_.ops();
  const Gpa address = vm_.is_private(page) ? ops.private_alias(page) : ops.shared_alias(page);
  const FaultOutcome outcome = vm_.mmu().fault(caller, address, hw::GuestAccess::kRead);
  switch (outcome.kind) {
    case FaultOutcome::Kind::kRetry:
      return {};
    case FaultOutcome::Kind::kEmulate:
      return fail(Errno::kNoEnt, "no memslot is there");
    case FaultOutcome::Kind::kMemoryFault:
      return fail(Errno::kFault, "the memory has no private side");
    case FaultOutcome::Kind::kError:
      return std::unexpected(outcome.error);
  }
  return {};
}

Result<void> Vcpu::check_registers() const {
  if (cpu_ == nullptr) return fail(Errno::kNxio, "this machine has no guest engine");
  if (vm_.ops().guest_state_protected())
    return fail(Errno::kInval, "the guest's registers are its secret");
  return cpu_->open();
}

Result<hw::CpuRegisters> Vcpu::registers() {
  TEEIO_TRY(check_registers());
  return cpu_->registers();
}

}  // namespace teeio::kvm
