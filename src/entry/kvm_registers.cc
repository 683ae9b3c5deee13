#include "entry/kvm_registers.h"

#include <bit>
#include <cstring>

#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"
#include "entry/vendor_vms.h"
#include "host/kvm/translate.h"

// General and special registers, by their ioctls and by struct kvm_run.

namespace teeio::entry {
namespace {

/// KVM_SYNC_X86_REGS, _SREGS, _EVENTS of arch/x86/include/uapi/asm/kvm.h.
constexpr std::uint64_t kSyncRegs = 1U << 0U;
constexpr std::uint64_t kSyncSregs = 1U << 1U;
constexpr std::uint64_t kSyncEvents = 1U << 2U;

/// Arm's vCPUs have none, and do not look at the fields.
bool has_synced_registers(kvm::Vcpu& vcpu) {
  return vcpu.cpu() != nullptr && vcpu.cpu()->arm() == nullptr;
}

}  // namespace

abi::kvm_regs to_abi(const hw::CpuRegisters& r) {
  return {.rax = r.rax,
          .rbx = r.rbx,
          .rcx = r.rcx,
          .rdx = r.rdx,
          .rsi = r.rsi,
          .rdi = r.rdi,
          .rsp = r.rsp,
          .rbp = r.rbp,
          .r8 = r.r8,
          .r9 = r.r9,
          .r10 = r.r10,
          .r11 = r.r11,
          .r12 = r.r12,
          .r13 = r.r13,
          .r14 = r.r14,
          .r15 = r.r15,
          .rip = r.rip,
          .rflags = r.rflags};
}

hw::CpuRegisters from_abi(const abi::kvm_regs& r) {
  constexpr std::uint64_t kRflagsFixed = 2;
  return {.rax = r.rax,
          .rbx = r.rbx,
          .rcx = r.rcx,
          .rdx = r.rdx,
          .rsi = r.rsi,
          .rdi = r.rdi,
          .rsp = r.rsp,
          .rbp = r.rbp,
          .r8 = r.r8,
          .r9 = r.r9,
          .r10 = r.r10,
          .r11 = r.r11,
          .r12 = r.r12,
          .r13 = r.r13,
          .r14 = r.r14,
          .r15 = r.r15,
          .rip = r.rip,
          .rflags = r.rflags | kRflagsFixed};
}

std::uint64_t kvm_sync_fields(kvm::Vm* vm) {
  if (vm != nullptr && vendor_vm(vm->type()) != nullptr) return 0;
  return kSyncRegs | kSyncSregs | kSyncEvents;
}

Result<void> take_synced_registers(kvm::Vcpu& vcpu, mm::UserMemory& memory, abi::kvm_run& run) {
  if (!has_synced_registers(vcpu)) return {};
  if (((run.kvm_valid_regs | run.kvm_dirty_regs) & ~kvm_sync_fields(&vcpu.vm())) != 0)
    return fail(Errno::kInval, "kvm_run names registers that it does not carry");
  if ((run.kvm_dirty_regs & kSyncRegs) != 0) {
    const abi::kvm_regs regs = run.s.regs.regs;
    TEEIO_TRY(vcpu.set_registers(from_abi(regs)));
    run.kvm_dirty_regs &= ~kSyncRegs;
  }
  if ((run.kvm_dirty_regs & kSyncSregs) != 0) {
    const abi::kvm_sregs sregs = run.s.regs.sregs;
    TEEIO_TRY(vcpu.set_special(bytes_of(sregs), memory));
    run.kvm_dirty_regs &= ~kSyncSregs;
  }
  if ((run.kvm_dirty_regs & kSyncEvents) != 0) {
    const abi::kvm_vcpu_events events = run.s.regs.events;
    TEEIO_TRY(vcpu.x86().set_events(std::bit_cast<kvm::x86::VcpuEvents>(events)));
    run.kvm_dirty_regs &= ~kSyncEvents;
  }
  return {};
}

void store_synced_registers(kvm::Vcpu& vcpu, abi::kvm_run& run) {
  const std::uint64_t wanted = run.kvm_valid_regs;
  if (wanted == 0 || !has_synced_registers(vcpu) || vcpu.vm().ops().guest_state_protected()) return;
  if ((wanted & kSyncRegs) != 0)
    if (const auto registers = vcpu.registers()) run.s.regs.regs = to_abi(*registers);
  if ((wanted & kSyncSregs) != 0) {
    abi::kvm_sregs sregs{};
    if (vcpu.special(writable_bytes_of(sregs))) run.s.regs.sregs = sregs;
  }
  if ((wanted & kSyncEvents) != 0) {
    const kvm::x86::VcpuEvents events = vcpu.x86().events();
    std::memcpy(&run.s.regs.events, &events, sizeof(events));
  }
}

/// kvm_arch_vcpu_ioctl_translate(). Of a guest whose registers are its secret KVM knows no paging.
Result<std::int64_t> ioctl_translate(Call& call) {
  using Arg = abi::kvm_translation;
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), call.argument));
  kvm::Vcpu& vcpu = vcpu_of(call);
  const schedule::Lock lock(vcpu.mutex());
  kvm::GuestPaging paging;
  if (!vcpu.vm().ops().guest_state_protected()) {
    TEEIO_ASSIGN(paging, vcpu.paging(call.memory()));
  }
  const auto gpa = kvm::translate(vcpu.vm(), call.memory(), paging, arg.linear_address);
  arg.physical_address = gpa ? raw(*gpa) : ~std::uint64_t{0};
  arg.valid = gpa ? 1 : 0;
  arg.writeable = 1;
  arg.usermode = 0;
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_get_regs(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(const hw::CpuRegisters registers, vcpu_of(call).registers());
  TEEIO_TRY(copy_out(call.memory(), call.argument, to_abi(registers)));
  return 0;
}

Result<std::int64_t> ioctl_set_regs(Call& call) {
  using Arg = abi::kvm_regs;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).set_registers(from_abi(arg)));
  return 0;
}

Result<std::int64_t> ioctl_get_sregs(Call& call) {
  abi::kvm_sregs sregs{};
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).special(writable_bytes_of(sregs)));
  TEEIO_TRY(copy_out(call.memory(), call.argument, sregs));
  return 0;
}

Result<std::int64_t> ioctl_set_sregs(Call& call) {
  using Arg = abi::kvm_sregs;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).set_special(bytes_of(arg), call.memory()));
  return 0;
}

}  // namespace teeio::entry
