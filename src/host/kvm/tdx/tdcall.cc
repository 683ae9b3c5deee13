#include "host/kvm/tdx/tdx_vm.h"

namespace teeio::kvm {
namespace {

constexpr std::uint64_t kVpVmcall = 0;  // RAX

// Sub-functions of TDG.VP.VMCALL (R11). Source: Intel GHCI 1.5, 2.4 and 3.
enum : std::uint64_t {
  kVmcallHlt = 12,
  kVmcallIo = 30,
  kVmcallMmio = 48,
  kVmcallMapGpa = 0x10001,
};
constexpr std::uint64_t kVmcallSuccess = 0;
constexpr std::uint64_t kVmcallInvalidOperand = 0x8000000000000000ULL;
constexpr std::uint64_t kVmcallSubfuncUnsupported = 0x8000000000000003ULL;
constexpr std::uint64_t kHypercallMapGpaRange = 12;  // KVM_HC_MAP_GPA_RANGE

void put_outputs(hw::CpuRegisters& regs, const tdx::LeafResult& r) {
  regs.rax = r.status.rax();
  regs.rcx = r.rcx;
  regs.rdx = r.rdx;
  regs.r8 = r.r8;
  regs.r9 = r.r9;
  regs.r10 = r.r10;
  regs.r11 = r.r11;
}

constexpr std::uint64_t kTdcallBytes = 4;  // 66 0f 01 cc

/// TDH.VP.ENTER's output operands after TDG.VP.VMCALL: the exit reason, the guest's mask,
/// and the registers that the mask shows. Source: TDX module ABI specification, and Linux
/// arch/x86/kvm/vmx/tdx.c, tdx_report_fatal_error().
void show_registers(const hw::CpuRegisters& regs, VcpuExit& exit) {
  constexpr std::uint64_t kExitReasonTdcall = 77;
  const std::uint64_t guest[16] = {0,        0,        regs.rdx, regs.rbx, 0,        0,
                                   regs.rsi, regs.rdi, regs.r8,  regs.r9,  regs.r10, regs.r11,
                                   regs.r12, regs.r13, regs.r14, regs.r15};
  for (unsigned i = 0; i < 16; ++i) exit.registers[i] = (regs.rcx >> i & 1U) != 0 ? guest[i] : 0;
  exit.registers[0] = kExitReasonTdcall;
  exit.registers[1] = regs.rcx;
}

}  // namespace

VmOps::GuestCallAction TdxVm::guest_call(Vcpu& vcpu, VcpuExit& exit) {
  // A TD has no other instruction of its own: #UD.
  if (vcpu.guest_exit().call != hw::GuestCall::kFirmware) return VmOps::guest_call(vcpu, exit);
  return vcpu.cpu()->registers().rax == kVpVmcall ? vmcall(vcpu, exit) : guest_leaf(vcpu, exit);
}

Result<void> TdxVm::as_guest(const GuestLeaves& leaves) {
  const std::vector<Hpa> vcpus = vcpu_handles();
  if (vcpus.empty()) return fail(Errno::kNxio, "the TD has no vCPU");
  {
    const schedule::Lock lock(played_lock_);
    while (played_in_) played_out_.wait(played_lock_);  // it is one vCPU's
    played_in_ = true;
  }
  tdx::Module& module = host_.module();
  const Hpa vp = vcpus.front();
  const bool entered = host_.call([&] { return module.begin_vp_enter(vp); }).ok();
  Result<void> done = entered ? leaves(module, vp) : fail(Errno::kIo, "TDH.VP.ENTER failed");
  if (entered) module.end_vp_enter(vp, tdx::TdExit::kOrdinary);
  const schedule::Lock lock(played_lock_);
  played_in_ = false;
  ++plays_;
  played_out_.notify_all();
  return done;
}

void TdxVm::wait_for_played_guest() {
  const schedule::Lock lock(played_lock_);
  const std::uint64_t play = plays_;
  while (played_in_ && plays_ == play) played_out_.wait(played_lock_);
}

Result<void> TdxVm::guest_enables_dma(Bdf bdf) {
  return as_guest([&](tdx::Module& module, Hpa vp) -> Result<void> {
    const auto function = tdx::function_id(bdf);
    tdx::LeafResult r = host_.call(
        [&] { return module.tdg_devif_validate(vp, function, module.info_hash(function)); });
    if (r.ok() || r.status == tdx::Code::kDevifAlreadyValid)
      r = host_.call([&] { return module.tdg_dmar_accept(vp, function); });
    if (!r.ok()) return fail(Errno::kIo, "TDG.DMAR.ACCEPT failed");
    return {};
  });
}

void TdxVm::invalidate_for_guest() {
  if (!commit_for_guest()) vm_.bug("what the guest has IOMMUs forget could not be queued");
}

/// Nobody's public host does this yet. As many descriptors as the queue has room for go at once:
/// of several requests the module counts the waits too.
Result<void> TdxVm::commit_for_guest() {
  TEEIO_ASSIGN(const Hpa status, host_.memory().alloc_page());
  Result<void> done;
  for (std::uint32_t iommu = 0; done && iommu < host_.iommu_count(); ++iommu)
    done = commit_for_guest(iommu, status);
  host_.memory().free_page(status);
  return done;
}

Result<void> TdxVm::commit_for_guest(std::uint32_t iommu, Hpa status) {
  constexpr std::uint16_t kAll = 128;
  for (std::uint64_t left = kAll; left != 0;) {
    const auto done = host_.invalidate(iommu, status, [&](const tdx::WaitDescriptor& wait) {
      const auto queued = host_.module().tdh_iq_inv_request_td(iommu, tdr_, kAll, wait);
      left = queued.rcx;
      return queued;
    });
    if (done.status == tdx::Code::kGuestInvNotRequired) break;
    if (!done.ok()) return std::unexpected(leaf_error(done, "a guest's invalidations failed"));
  }
  return {};
}

VmOps::GuestCallAction TdxVm::guest_leaf(Vcpu& vcpu, VcpuExit& exit) {
  hw::CpuRegisters regs = vcpu.cpu()->registers();
  const auto result = host_.module().tdcall(vcpu.firmware_handle(), regs);
  if (result.ept_violation) {
    // The TDCALL is repeated once KVM has resolved the fault.
    regs.rip -= kTdcallBytes;
    vcpu.cpu()->set_registers(regs);
    exit.gpa = *result.ept_violation;
    return GuestCallAction::kFault;
  }
  if (result.leaf.status == tdx::Code::kInterruptedResumable) {
    regs.rip -= kTdcallBytes;
    vcpu.cpu()->set_registers(regs);
    return GuestCallAction::kResume;
  }
  if (result.invalidations) invalidate_for_guest();
  put_outputs(regs, result.leaf);
  vcpu.cpu()->set_registers(regs);
  return GuestCallAction::kResume;
}

VmOps::GuestCallAction TdxVm::vmcall(Vcpu& vcpu, VcpuExit& exit) {
  hw::CpuRegisters regs = vcpu.cpu()->registers();
  // TDH.VP.ENTER comes back with success; what the host answers is in R10.
  const tdx::Status status = tdx::Module::vmcall_status(regs.rcx);
  regs.rax = status.rax();
  if (!status.ok()) {
    vcpu.cpu()->set_registers(regs);
    return GuestCallAction::kResume;
  }
  const bool vendor_specific = regs.r10 != 0;
  if (!vendor_specific) switch (regs.r11) {
      case kVmcallHlt:
        regs.r10 = kVmcallSuccess;
        vcpu.cpu()->set_registers(regs);
        exit.reason = VcpuExit::Reason::kHalt;
        return GuestCallAction::kExit;
      case kVmcallIo:
        exit.reason = VcpuExit::Reason::kIo;
        exit.size = static_cast<std::uint8_t>(regs.r12);
        exit.write = (regs.r13 & 1U) != 0;
        exit.port = static_cast<std::uint16_t>(regs.r14);
        exit.data = regs.r15;
        exit.number = kVmcallIo;
        vcpu.cpu()->set_registers(regs);
        return GuestCallAction::kExit;
      case kVmcallMmio: {
        const bool sized = regs.r12 == 1 || regs.r12 == 2 || regs.r12 == 4 || regs.r12 == 8;
        if (!sized || (regs.r14 & tdx::kSharedGpaBit) == 0) {
          regs.r10 = kVmcallInvalidOperand;  // tdx_emulate_mmio()
          vcpu.cpu()->set_registers(regs);
          return GuestCallAction::kResume;
        }
        exit.reason = VcpuExit::Reason::kMmio;
        exit.size = static_cast<std::uint8_t>(regs.r12);
        exit.write = (regs.r13 & 1U) != 0;
        exit.gpa = Gpa{regs.r14 & ~tdx::kSharedGpaBit};
        exit.data = regs.r15;
        exit.number = kVmcallMmio;
        vcpu.cpu()->set_registers(regs);
        return GuestCallAction::kExit;
      }
      case kVmcallMapGpa:
        if (!is_page_aligned(regs.r12) || !is_page_aligned(regs.r13) || regs.r13 == 0) {
          regs.r10 = kVmcallInvalidOperand;
          vcpu.cpu()->set_registers(regs);
          return GuestCallAction::kResume;
        }
        exit.reason = VcpuExit::Reason::kHypercall;
        exit.number = kHypercallMapGpaRange;
        exit.args[0] = regs.r12 & ~tdx::kSharedGpaBit;
        exit.args[1] = regs.r13 >> kPageShift;
        exit.args[2] =
            (regs.r12 & tdx::kSharedGpaBit) == 0 ? 1ULL << 4U : 0;  // KVM_MAP_GPA_RANGE_ENCRYPTED
        vcpu.cpu()->set_registers(regs);
        return GuestCallAction::kExit;
      default:
        break;
    }
  if (!vendor_specific && regs.r11 < kVmcallMapGpa) {
    regs.r10 = kVmcallSubfuncUnsupported;
    vcpu.cpu()->set_registers(regs);
    return GuestCallAction::kResume;
  }
  // The TDI requests, and what KVM does not know: the VMM's business.
  vcpu.cpu()->set_registers(regs);
  exit.reason = VcpuExit::Reason::kVendor;
  exit.number = regs.r11;
  const std::uint64_t args[6] = {regs.r12, regs.r13, regs.r14, regs.r15, regs.rbx, regs.rdi};
  for (std::size_t i = 0; i < 6; ++i) exit.args[i] = args[i];
  show_registers(regs, exit);
  auto call = host_.trace().call(object::Lane::kGuest, object::Lane::kVmm, "TDVMCALL",
                                 {.vm = vm_.number(), .a = regs.r11});
  return GuestCallAction::kExit;
}

std::optional<VcpuExit> TdxVm::complete_exit(Vcpu& vcpu, const VcpuExit& exit,
                                             const VcpuCompletion& completion) {
  hw::CpuRegisters regs = vcpu.cpu()->registers();
  switch (exit.reason) {
    case VcpuExit::Reason::kIo:
    case VcpuExit::Reason::kMmio:
      regs.r10 = kVmcallSuccess;
      if (!exit.write) regs.r11 = completion.data;
      break;
    case VcpuExit::Reason::kHypercall:
      regs.r10 = completion.ret == 0 ? kVmcallSuccess : kVmcallInvalidOperand;
      break;
    case VcpuExit::Reason::kVendor:
      regs.r10 = completion.ret;
      regs.r11 = completion.values[0];
      regs.r12 = completion.values[1];
      regs.r13 = completion.values[2];
      regs.r14 = completion.values[3];
      regs.r15 = completion.values[4];
      break;
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
      return std::nullopt;
  }
  vcpu.cpu()->set_registers(regs);
  return std::nullopt;
}

}  // namespace teeio::kvm
