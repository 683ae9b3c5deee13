#include <algorithm>
#include <array>
#include <cstring>

#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"

// What a VMM saves and restores of a vCPU. Linux arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl().

namespace teeio::entry {
namespace {

namespace x86 = kvm::x86;

static_assert(sizeof(x86::VcpuEvents) == sizeof(abi::kvm_vcpu_events));
static_assert(offsetof(x86::VcpuEvents, exception_payload) ==
              offsetof(abi::kvm_vcpu_events, exception_payload));
static_assert(offsetof(x86::VcpuEvents, triple_fault_pending) ==
              offsetof(abi::kvm_vcpu_events, triple_fault));

/// Source: Intel SDM vol. 1, 10.5.1, 64-bit mode.
struct FxsaveArea {
  std::uint16_t cwd, swd, twd, fop;
  std::uint64_t rip, rdp;
  std::uint32_t mxcsr, mxcsr_mask;
  std::uint8_t st[8][16];
  std::uint8_t xmm[16][16];
};
static_assert(sizeof(FxsaveArea) == 416);

}  // namespace

Result<std::int64_t> ioctl_get_vcpu_events(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(copy_out(call.memory(), call.argument, vcpu_of(call).x86().events()));
  return 0;
}

Result<std::int64_t> ioctl_set_vcpu_events(Call& call) {
  TEEIO_ASSIGN(const auto events, copy_in<x86::VcpuEvents>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).x86().set_events(events));
  return 0;
}

Result<std::int64_t> ioctl_get_mp_state(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  const abi::kvm_mp_state state{.mp_state =
                                    static_cast<std::uint32_t>(vcpu_of(call).x86().mp_state())};
  TEEIO_TRY(copy_out(call.memory(), call.argument, state));
  return 0;
}

Result<std::int64_t> ioctl_set_mp_state(Call& call) {
  TEEIO_ASSIGN(const auto state, copy_in<abi::kvm_mp_state>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).x86().set_mp_state(state.mp_state));
  return 0;
}

Result<std::int64_t> ioctl_get_debugregs(Call& call) {
  using Arg = abi::kvm_debugregs;
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  const x86::DebugRegisters& registers = state->debug_registers();
  Arg arg{};
  std::copy(std::begin(registers.db), std::end(registers.db), arg.db);
  arg.dr6 = registers.dr6;
  arg.dr7 = registers.dr7;
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_set_debugregs(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_debugregs>(call.memory(), call.argument));
  x86::DebugRegisters registers;
  std::copy(std::begin(arg.db), std::end(arg.db), registers.db);
  registers.dr6 = arg.dr6;
  registers.dr7 = arg.dr7;
  registers.flags = arg.flags;
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  TEEIO_TRY(state->set_debug_registers(registers));
  return 0;
}

/// KVM_GET_XSAVE and KVM_GET_XSAVE2: no component is beyond the 4 KiB of the first.
Result<std::int64_t> ioctl_get_xsave(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  TEEIO_TRY(call.memory().write(call.argument, state->xsave()));
  return 0;
}

Result<std::int64_t> ioctl_set_xsave(Call& call) {
  TEEIO_ASSIGN(const auto area, copy_in<abi::kvm_xsave>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  TEEIO_TRY(state->set_xsave(bytes_of(area)));
  return 0;
}

/// kvm_arch_vcpu_ioctl_get_fpu(): MXCSR is not told.
Result<std::int64_t> ioctl_get_fpu(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  FxsaveArea area;
  std::memcpy(&area, state->fxsave().data(), sizeof area);
  abi::kvm_fpu fpu{};
  std::memcpy(fpu.fpr, area.st, sizeof fpu.fpr);
  fpu.fcw = area.cwd;
  fpu.fsw = area.swd;
  fpu.ftwx = static_cast<std::uint8_t>(area.twd);
  fpu.last_opcode = area.fop;
  fpu.last_ip = area.rip;
  fpu.last_dp = area.rdp;
  std::memcpy(fpu.xmm, area.xmm, sizeof fpu.xmm);
  TEEIO_TRY(copy_out(call.memory(), call.argument, fpu));
  return 0;
}

Result<std::int64_t> ioctl_set_fpu(Call& call) {
  TEEIO_ASSIGN(const auto fpu, copy_in<abi::kvm_fpu>(call.memory(), call.argument));
  FxsaveArea area{};
  area.cwd = fpu.fcw;
  area.swd = fpu.fsw;
  area.twd = fpu.ftwx;
  area.fop = fpu.last_opcode;
  area.rip = fpu.last_ip;
  area.rdp = fpu.last_dp;
  std::memcpy(area.st, fpu.fpr, sizeof area.st);
  std::memcpy(area.xmm, fpu.xmm, sizeof area.xmm);
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  state->set_fxsave(bytes_of(area));
  return 0;
}

Result<std::int64_t> ioctl_get_xcrs(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  abi::kvm_xcrs arg{};
  arg.nr_xcrs = 1;
  arg.xcrs[0].value = state->xcr0();
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_set_xcrs(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_xcrs>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_ASSIGN(x86::VcpuState* const state, vcpu_of(call).readable_state());
  if (arg.nr_xcrs > std::size(arg.xcrs) || arg.flags != 0)
    return fail(Errno::kInval, "too many XCRs, or a flag");
  for (std::uint32_t i = 0; i < arg.nr_xcrs; ++i) {
    if (arg.xcrs[i].xcr != 0) continue;  // XCR0 is the only one
    TEEIO_TRY(state->set_xcr0(arg.xcrs[i].value));
    break;
  }
  return 0;
}

Result<std::int64_t> ioctl_get_lapic(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  std::array<std::byte, x86::kLapicStateSize> state{};
  TEEIO_TRY(vcpu_of(call).x86().lapic_state(state));
  TEEIO_TRY(call.memory().write(call.argument, state));
  return 0;
}

Result<std::int64_t> ioctl_set_lapic(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  if (!vcpu_of(call).x86().lapic_in_kernel())
    return fail(Errno::kInval, "the vCPU has no local APIC of KVM's");
  std::array<std::byte, x86::kLapicStateSize> state{};
  TEEIO_TRY(call.memory().read(call.argument, state));
  TEEIO_TRY(vcpu_of(call).x86().set_lapic_state(state));
  return 0;
}

Result<std::int64_t> ioctl_interrupt(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_interrupt>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).x86().interrupt(arg.irq));
  return 0;
}

Result<std::int64_t> ioctl_nmi(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  vcpu_of(call).x86().inject_nmi();
  return 0;
}

Result<std::int64_t> ioctl_setup_mce(Call& call) {
  TEEIO_ASSIGN(const auto capability, copy_in<std::uint64_t>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).x86().msrs().setup_mce(capability));
  return 0;
}

Result<std::int64_t> ioctl_set_mce(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_x86_mce>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).x86().set_mce({.status = arg.status,
                                         .addr = arg.addr,
                                         .misc = arg.misc,
                                         .mcg_status = arg.mcg_status,
                                         .bank = arg.bank}));
  return 0;
}

/// kvm_inject_smi() of a kernel without CONFIG_KVM_SMM.
Result<std::int64_t> ioctl_smi(Call&) {
  return fail(Errno::kNoTty, "the VM has no system management mode");
}

/// vcpu_ioctl_tpr_access_reporting(): flags are refused, and the struct comes back.
Result<std::int64_t> ioctl_tpr_access_reporting(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_tpr_access_ctl>(call.memory(), call.argument));
  if (arg.flags != 0) return fail(Errno::kInval, "KVM_TPR_ACCESS_REPORTING has no flags");
  const schedule::Lock lock(vcpu_of(call).mutex());
  vcpu_of(call).x86().set_tpr_reporting(arg.enabled != 0);
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_set_vapic_addr(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  if (!vcpu_of(call).x86().lapic_in_kernel())
    return fail(Errno::kInval, "the vCPU has no local APIC of KVM's");
  TEEIO_ASSIGN(const auto address, copy_in<std::uint64_t>(call.memory(), call.argument));
  if (address != 0 && !vcpu_of(call).vm().is_writable(Gpa{address}, sizeof(std::uint32_t)))
    return fail(Errno::kInval, "no memory of the VM is there");
  TEEIO_TRY(vcpu_of(call).x86().set_vapic_address(address));
  return 0;
}

Result<std::int64_t> ioctl_vcpu_set_tsc_khz(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  const auto khz = static_cast<std::uint32_t>(call.argument);
  if (khz >= x86::kMaxTscKhz) return fail(Errno::kInval, "no guest's TSC is that fast");
  vcpu_of(call).x86().set_tsc_khz(khz != 0 ? khz : x86::kHostTscKhz);
  return 0;
}

Result<std::int64_t> ioctl_vcpu_get_tsc_khz(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  return vcpu_of(call).x86().tsc_khz();
}

/// kvm_set_guest_paused(): no guest has kvmclock here.
Result<std::int64_t> ioctl_kvmclock_ctrl(Call&) {
  return fail(Errno::kInval, "the guest does not use kvmclock");
}

/// kvm_vcpu_ioctl_enable_cap(): what it has is Hyper-V's.
Result<std::int64_t> ioctl_vcpu_enable_cap(Call& call) {
  TEEIO_TRY(copy_in<abi::kvm_enable_cap>(call.memory(), call.argument));
  return fail(Errno::kInval, "a vCPU has no such capability");
}

Result<std::int64_t> ioctl_get_sregs2(Call& call) {
  abi::kvm_sregs sregs{};
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).special(writable_bytes_of(sregs)));
  abi::kvm_sregs2 arg{};
  std::memcpy(&arg, &sregs, offsetof(abi::kvm_sregs2, flags));
  TEEIO_ASSIGN(const auto paging, vcpu_of(call).paging(call.memory()));
  if (paging.pae()) {
    std::ranges::copy(paging.pdptrs.value_or(hw::Pdptrs{}), arg.pdptrs);
    arg.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
  }
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

/// kvm_vcpu_ioctl_x86_set_sregs2()
Result<std::int64_t> ioctl_set_sregs2(Call& call) {
  TEEIO_ASSIGN(const auto arg, copy_in<abi::kvm_sregs2>(call.memory(), call.argument));
  if ((arg.flags & ~static_cast<std::uint64_t>(KVM_SREGS2_FLAGS_PDPTRS_VALID)) != 0)
    return fail(Errno::kInval, "an unknown flag of KVM_SET_SREGS2 is set");
  const kvm::GuestPaging wanted{.cr0 = arg.cr0, .cr3 = arg.cr3, .cr4 = arg.cr4, .efer = arg.efer};
  std::optional<hw::Pdptrs> pdptrs;
  if (arg.flags != 0) {
    if (!wanted.pae()) return fail(Errno::kInval, "PDPTRs without PAE paging");
    std::ranges::copy(arg.pdptrs, pdptrs.emplace().begin());
  }
  abi::kvm_sregs sregs{};
  std::memcpy(&sregs, &arg, offsetof(abi::kvm_sregs2, flags));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).set_special(bytes_of(sregs), call.memory(), pdptrs));
  return 0;
}

namespace {

/// kvm_vcpu_ioctl_device_attr(): the TSC's offset is the only one. Errors: ENXIO.
Result<abi::kvm_device_attr> tsc_offset_attr(Call& call) {
  TEEIO_ASSIGN(const auto attr, copy_in<abi::kvm_device_attr>(call.memory(), call.argument));
  if (attr.group != KVM_VCPU_TSC_CTRL || attr.attr != KVM_VCPU_TSC_OFFSET)
    return fail(Errno::kNxio, "the vCPU has no such attribute");
  return attr;
}

}  // namespace

Result<std::int64_t> ioctl_vcpu_set_device_attr(Call& call) {
  TEEIO_ASSIGN(const auto attr, tsc_offset_attr(call));
  TEEIO_ASSIGN(const auto offset, copy_in<std::uint64_t>(call.memory(), attr.addr));
  const schedule::Lock lock(vcpu_of(call).mutex());
  vcpu_of(call).x86().set_tsc_offset(offset);
  return 0;
}

Result<std::int64_t> ioctl_vcpu_get_device_attr(Call& call) {
  TEEIO_ASSIGN(const auto attr, tsc_offset_attr(call));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(copy_out(call.memory(), attr.addr, vcpu_of(call).x86().tsc_offset()));
  return 0;
}

Result<std::int64_t> ioctl_vcpu_has_device_attr(Call& call) {
  TEEIO_TRY(tsc_offset_attr(call));
  return 0;
}

}  // namespace teeio::entry
