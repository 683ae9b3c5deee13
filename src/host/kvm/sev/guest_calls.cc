#include "host/kvm/sev/sev_vm.h"

// PVALIDATE and RMPADJUST: the processor's part, which asks the nested table and the RMP.

namespace teeio::kvm {
namespace {

constexpr std::uint64_t kInstructionBytes = 4;  // prefix 0f 01 xx
constexpr std::uint64_t kFailInput = 1;
constexpr std::uint64_t kFailPermission = 2;
constexpr std::uint64_t kCarry = 1U << 0U;
constexpr std::uint64_t kZero = 1U << 6U;

}  // namespace

VmOps::GuestCallAction SevVm::guest_call(Vcpu& vcpu, VcpuExit& exit) {
  switch (vcpu.guest_exit().call) {
    case hw::GuestCall::kHost:
      return vmgexit(vcpu, exit);
    case hw::GuestCall::kValidatePage:
    case hw::GuestCall::kAdjustPage:
      return page_call(vcpu, exit);
    case hw::GuestCall::kFirmware:
      break;  // #UD
  }
  return VmOps::guest_call(vcpu, exit);
}

/// The instruction is repeated once KVM has resolved the fault.
VmOps::GuestCallAction SevVm::retry_after_fault(Vcpu& vcpu, Gpa address, VcpuExit& exit) {
  hw::CpuRegisters regs = vcpu.cpu()->registers();
  regs.rip -= kInstructionBytes;
  vcpu.cpu()->set_registers(regs);
  exit.gpa = address;
  return GuestCallAction::kFault;
}

/// Source: APM volume 3, PVALIDATE and RMPADJUST. RAX: the page; ECX: its size; EDX: what is
/// wanted. EAX gets the result, the flags follow it, and PVALIDATE sets CF if nothing changed.
VmOps::GuestCallAction SevVm::page_call(Vcpu& vcpu, VcpuExit& exit) {
  const Gpa gpa = strip(vcpu.guest_exit().gpa);
  const auto mapping = nested(gpa);
  if (!mapping) return retry_after_fault(vcpu, private_alias(gpa), exit);
  hw::CpuRegisters regs = vcpu.cpu()->registers();
  const auto size_code = static_cast<std::uint32_t>(regs.rcx);
  const auto size = size_code == 0 ? sev::RmpSize::k4K : sev::RmpSize::k2M;
  sev::Rmp& rmp = host_.psp().rmp();
  std::uint64_t status = kFailInput;
  bool unchanged = false;
  if (size_code > 1) {
    // FAIL_INPUT
  } else if (vcpu.guest_exit().call == hw::GuestCall::kValidatePage) {
    const auto done = rmp.pvalidate(asid(), gpa, mapping->page, size, (regs.rdx & 1U) != 0);
    if (!done) return retry_after_fault(vcpu, private_alias(gpa), exit);
    status = std::to_underlying(done->status);
    unchanged = !done->changed;
  } else if ((regs.rdx & 0xffU) == 0) {
    status = kFailPermission;  // VMPL 0 may speak for those below it only
  } else {
    constexpr std::uint64_t kVmsa = 1U << 16U;
    const auto done = rmp.rmpadjust(asid(), gpa, mapping->page, size, (regs.rdx & kVmsa) != 0);
    if (!done) return retry_after_fault(vcpu, private_alias(gpa), exit);
    status = std::to_underlying(*done);
  }
  regs.rax = status;
  regs.rflags &= ~(kCarry | kZero);
  if (unchanged) regs.rflags |= kCarry;
  if (status == 0) regs.rflags |= kZero;
  vcpu.cpu()->set_registers(regs);
  // What the processor has cached of the page is as it was before.
  vcpu.cpu()->flush(gpa, kPageSize);
  return GuestCallAction::kResume;
}

}  // namespace teeio::kvm
