#include <algorithm>

#include "host/kvm/x86/vcpu_state.h"

// Pending events of a vCPU. Source: Linux arch/x86/kvm/x86.c,
// kvm_vcpu_ioctl_x86_get_vcpu_events() and kvm_vcpu_ioctl_x86_set_vcpu_events().

namespace teeio::kvm::x86 {
namespace {

constexpr std::uint8_t kNmiVector = 2;
constexpr std::uint8_t kMostNmis = 2;

}  // namespace

VcpuEvents VcpuState::events() {
  if (lapic_in_kernel_) {  // process_nmi()
    const std::uint8_t arrived =
        vm_.interrupts().with_lapic(lapic_, [](Lapic& lapic, bool) { return lapic.take_nmis(); });
    events_.nmi.pending =
        std::min<std::uint8_t>(kMostNmis, static_cast<std::uint8_t>(events_.nmi.pending + arrived));
  }
  // Of two that came close to each other one waits for the other, unless that holds already.
  if (events_.nmi.masked != 0 || events_.nmi.injected != 0)
    events_.nmi.pending = std::min<std::uint8_t>(1, events_.nmi.pending);
  VcpuEvents shown = events_;
  if (!vm_.exception_payload()) {
    // Without KVM_CAP_EXCEPTION_PAYLOAD a VMM cannot tell pending from injected.
    shown.exception.injected |= shown.exception.pending;
  }
  // kvm_exception_is_soft(): the length of the instruction is not in here.
  constexpr std::uint8_t kBreakpoint = 3, kOverflow = 4;
  if (shown.exception.nr == kBreakpoint || shown.exception.nr == kOverflow)
    shown.exception.injected = shown.exception.pending = 0;
  shown.interrupt.injected = events_.interrupt.injected != 0 && events_.interrupt.soft == 0 ? 1 : 0;
  shown.interrupt.soft = 0;
  shown.sipi_vector = 0;
  shown.smi = {};
  shown.smi.latched_init = vm_.interrupts().with_lapic(lapic_, [](Lapic& lapic, bool) {
    return static_cast<std::uint8_t>(lapic.init_pending() ? 1 : 0);
  });
  shown.flags = kValidNmiPending | kValidShadow | kValidSmm;
  if (vm_.exception_payload()) shown.flags |= kValidPayload;
  if (vm_.triple_fault_event())
    shown.flags |= kValidTripleFault;
  else
    shown.triple_fault_pending = 0;
  return shown;
}

Result<void> VcpuState::set_events(VcpuEvents events) {
  constexpr std::uint32_t kKnown = kValidNmiPending | kValidSipiVector | kValidShadow | kValidSmm |
                                   kValidPayload | kValidTripleFault;
  if ((events.flags & ~kKnown) != 0) return fail(Errno::kInval, "an unknown flag of events is set");
  if ((events.flags & kValidPayload) != 0) {
    if (!vm_.exception_payload())
      return fail(Errno::kInval, "KVM_CAP_EXCEPTION_PAYLOAD is not enabled");
    if (events.exception.pending != 0)
      events.exception.injected = 0;
    else
      events.exception_has_payload = 0;
  } else {
    events.exception.pending = 0;
    events.exception_has_payload = 0;
  }
  if ((events.exception.injected != 0 || events.exception.pending != 0) &&
      (events.exception.nr > 31 || events.exception.nr == kNmiVector))
    return fail(Errno::kInval, "no exception has this vector");
  // No system management mode: as a kernel without CONFIG_KVM_SMM.
  const bool smm = events.smi.smm != 0 || events.smi.pending != 0 || events.smi.smm_inside_nmi != 0;
  const bool wrong_smm = (events.flags & kValidSmm) != 0 && smm;
  const bool wrong_triple = (events.flags & kValidTripleFault) != 0 && !vm_.triple_fault_event();

  const auto normal = [](std::uint8_t& flag) { flag = flag != 0 ? 1 : 0; };
  for (std::uint8_t* flag :
       {&events.exception.injected, &events.exception.pending, &events.exception.has_error_code,
        &events.exception_has_payload, &events.interrupt.injected, &events.interrupt.soft,
        &events.nmi.injected, &events.nmi.masked})
    normal(*flag);
  events_.exception = events.exception;
  events_.exception_has_payload = events.exception_has_payload;
  events_.exception_payload = events.exception_payload;
  const std::uint8_t shadow = events_.interrupt.shadow;
  events_.interrupt = events.interrupt;
  // vmx_set_interrupt_shadow(): of MOV SS (1) and STI (2) the first counts.
  const std::uint8_t given = events.interrupt.shadow;
  events_.interrupt.shadow = (given & 1U) != 0 ? 1 : given & 2U;
  if ((events.flags & kValidShadow) == 0) events_.interrupt.shadow = shadow;
  const std::uint8_t pending = events_.nmi.pending;
  events_.nmi = events.nmi;
  events_.nmi.pending =
      (events.flags & kValidNmiPending) != 0 ? std::min(kMostNmis, events.nmi.pending) : pending;
  if (lapic_in_kernel_ && (events.flags & kValidSipiVector) != 0)
    vm_.interrupts().with_lapic(lapic_, [&](Lapic& lapic, bool) {
      lapic.set_sipi(static_cast<std::uint8_t>(events.sipi_vector));
    });
  // Linux too has set what comes before by the time that it finds these.
  if (wrong_smm) return fail(Errno::kInval, "the VM has no system management mode");
  if (lapic_in_kernel_ && (events.flags & kValidSmm) != 0)
    vm_.interrupts().with_lapic(
        lapic_, [&](Lapic& lapic, bool) { lapic.set_init_pending(events.smi.latched_init != 0); });
  if (wrong_triple) return fail(Errno::kInval, "KVM_CAP_X86_TRIPLE_FAULT_EVENT is not enabled");
  if ((events.flags & kValidTripleFault) != 0)
    events_.triple_fault_pending = events.triple_fault_pending != 0 ? 1 : 0;
  return {};
}

Result<void> VcpuState::interrupt(std::uint32_t vector) {
  if (vector > 255) return fail(Errno::kInval, "no interrupt has this vector");
  switch (vm_.interrupts().mode()) {
    case IrqchipMode::kKernel:
      return fail(Errno::kNxio, "interrupts come from the in-kernel PIC");
    case IrqchipMode::kSplit:
      if (external_vector_ >= 0) return fail(Errno::kExist, "an external interrupt is pending");
      external_vector_ = static_cast<std::int32_t>(vector);
      return {};
    case IrqchipMode::kNone:
      events_.interrupt.injected = 1;
      events_.interrupt.nr = static_cast<std::uint8_t>(vector);
      events_.interrupt.soft = 0;
      return {};
  }
  return {};
}

/// kvm_cpu_accept_dm_intr() and kvm_vcpu_ready_for_interrupt_injection(). A local APIC takes
/// an external interrupt only by LVT0 in that mode; the VMM has to mind that too.
bool VcpuState::interrupt_window() const {
  return events_.interrupt.injected == 0 && events_.interrupt.shadow == 0 &&
         events_.exception.injected == 0 && events_.exception.pending == 0 && external_vector_ < 0;
}

void VcpuState::inject_nmi() {
  events_.nmi.pending =
      std::min<std::uint8_t>(kMostNmis, static_cast<std::uint8_t>(events_.nmi.pending + 1));
}

void VcpuState::queue_exception(std::uint8_t vector) {
  events_.exception = {};
  events_.exception.pending = 1;
  events_.exception.nr = vector;
}

Result<void> VcpuState::inject_exception(std::uint8_t vector) {
  if (events_.exception.injected != 0 || events_.exception.pending != 0 ||
      events_.triple_fault_pending != 0)
    return fail(Errno::kBusy, "an exception is pending");
  queue_exception(vector);
  return {};
}

bool VcpuState::event_due(bool interrupts_on, bool blocked) {
  if (events_.exception.injected != 0 || events_.exception.pending != 0) return true;
  if (blocked) return false;
  if (events_.nmi.injected != 0 || (events_.nmi.pending != 0 && events_.nmi.masked == 0))
    return true;
  if (!interrupts_on || events_.interrupt.shadow != 0) return false;
  if (events_.interrupt.injected != 0 || external_vector_ >= 0) return true;
  return lapic_in_kernel_ && vm_.interrupts().with_lapic(
                                 lapic_, [](Lapic& lapic, bool) { return lapic.interrupt_due(); });
}

std::optional<std::uint8_t> VcpuState::take_startup() {
  if (!lapic_in_kernel_) return std::nullopt;
  return vm_.interrupts().with_lapic(lapic_, [this](Lapic& lapic, bool) {
    if (lapic.init_pending()) {
      lapic.set_init_pending(false);
      const bool boot = (lapic.base() & kApicBaseBsp) != 0;
      mp_state_ = boot ? MpState::kRunnable : MpState::kInitReceived;
    }
    if (mp_state_ != MpState::kInitReceived || !lapic.sipi_pending())
      return std::optional<std::uint8_t>{};
    lapic.set_sipi_pending(false);
    mp_state_ = MpState::kRunnable;
    return std::optional(lapic.sipi_vector());
  });
}

bool VcpuState::take_triple_fault() {
  const bool pending = events_.triple_fault_pending != 0;
  events_.triple_fault_pending = 0;
  return pending;
}

}  // namespace teeio::kvm::x86
