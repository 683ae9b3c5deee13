#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/types.h"
#include "host/kvm/x86/cpuid.h"
#include "hw/cpu.h"

namespace teeio::kvm {

class Vcpu;
class Vm;
struct VcpuExit;
struct VcpuCompletion;

/// What a page in a secure table is: firmware may have calls of its own for MMIO.
enum class PageKind : std::uint8_t { kRam, kMmio };

/// What a vendor's VM type adds to KVM (Linux: struct kvm_x86_ops). The default
/// implementation is an ordinary VM: nothing secure, nothing refused.
///
/// Lifetime: owned by its Vm.
/// Locking: the hooks of the secure table run with kvm->mmu_lock held; vCPU
/// hooks with the vCPU's mutex; destroy() with no lock, once, at the very end.
class VmOps {
 public:
  VmOps() = default;
  virtual ~VmOps() = default;
  VmOps(const VmOps&) = delete;
  VmOps& operator=(const VmOps&) = delete;

  /// The VM as the firmware knows it: its control page.
  [[nodiscard]] virtual Hpa firmware_handle() const { return Hpa{0}; }
  /// Whether guest_memfd and private attributes exist (kvm_arch_has_private_mem).
  [[nodiscard]] virtual bool has_private_memory() const { return false; }
  /// Whether an access to this guest address is a private one; nullopt when the
  /// attribute alone decides (KVM_X86_SW_PROTECTED_VM).
  [[nodiscard]] virtual std::optional<bool> is_private(Gpa) const { return std::nullopt; }
  /// The address without what says so, and with what says that it is shared.
  [[nodiscard]] virtual Gpa strip(Gpa address) const { return address; }
  [[nodiscard]] virtual Gpa shared_alias(Gpa address) const { return address; }
  /// The address with what says that it is private.
  [[nodiscard]] virtual Gpa private_alias(Gpa address) const { return address; }
  /// Whether registers are the guest's secret (vcpu->arch.guest_state_protected).
  [[nodiscard]] virtual bool guest_state_protected() const { return false; }

  // Pages of guest_memfds.
  /// A page is about to be the guest's at an address (kvm_arch_gmem_prepare()); called for a
  /// page that is, too.
  virtual Result<void> gmem_prepare(Gpa, Hpa) { return {}; }
  /// Whether devices reach them through the host's own IOMMU tables, so that a program may
  /// map them there (IOMMU_IOAS_MAP_FILE).
  [[nodiscard]] virtual bool gmem_has_dma() const { return false; }
  /// It goes back to the host, out of every mapping (kvm_arch_gmem_invalidate()).
  virtual void gmem_invalidate(Hpa) {}
  /// vcpu->kvm->arch.pre_fault_allowed.
  [[nodiscard]] virtual bool pre_fault_allowed() const { return true; }

  // The secure table, one 4 KiB entry at a time.
  /// Whether private pages live in a table of the firmware's.
  [[nodiscard]] virtual bool has_secure_table() const { return false; }
  virtual Result<void> map_private(Gpa, Hpa, PageKind) { return {}; }
  /// First half of a removal: no new translations. Then KVM gets every vCPU out
  /// of the guest, calls track(), and remove_private() for each entry.
  virtual Result<void> block_private(Gpa, PageKind) { return {}; }
  virtual Result<void> track() { return {}; }
  virtual Result<void> remove_private(Gpa, PageKind) { return {}; }
  /// What the guest's own access finds; nullopt: a fault for KVM to resolve.
  [[nodiscard]] virtual std::optional<hw::GuestMapping> lookup_private(Gpa) { return std::nullopt; }
  /// Whether it found nothing because the hardware tells the guest so, not KVM.
  [[nodiscard]] virtual bool raises_exception(Gpa) { return false; }

  // vCPUs.
  /// What runs their code, where it is not the machine's own; null: that.
  [[nodiscard]] virtual hw::CpuFactory* cpus() const { return nullptr; }
  /// What CPUID gives the guest where its firmware answers; nullopt: KVM_SET_CPUID2 decides.
  [[nodiscard]] virtual std::optional<x86::CpuidEntry> guest_cpuid(std::uint32_t,
                                                                   std::uint32_t) const {
    return std::nullopt;
  }
  /// Whoever refuses has kept nothing of it.
  virtual Result<void> vcpu_created(Vcpu&) { return {}; }
  /// At the VM's end, before destroy(), or when its descriptor could not be given.
  virtual void vcpu_freed(Vcpu&) {}
  /// KVM_RUN may start. Errors: EINVAL when the VM or the vCPU is not set up.
  virtual Result<void> vcpu_pre_run(Vcpu&) { return {}; }
  /// The guest has the vCPU off: KVM_RUN waits until another one turns it on, or for a signal.
  [[nodiscard]] virtual bool vcpu_is_off(Vcpu&) { return false; }
  virtual Result<void> vcpu_enter(Vcpu&) { return {}; }
  /// The guest has left for that reason, which is yet to be handled.
  virtual void vcpu_leave(Vcpu&, const hw::CpuExit&) {}
  /// An instruction of the guest's own (Vcpu::guest_exit()) trapped: what is to be done next.
  enum class GuestCallAction : std::uint8_t {
    kResume,  ///< handled, run on
    kExit,    ///< `exit` goes to the VMM
    kFault,   ///< the call met no mapping at exit.gpa: resolve it, then run on
  };
  virtual GuestCallAction guest_call(Vcpu&, VcpuExit& exit);
  /// The VMM is back with the result of an exit that guest_call() made. What it gives goes to
  /// the VMM before the guest runs on, as another exit of the same call (Linux: what
  /// vcpu->arch.complete_userspace_io() asks for when it returns 0).
  virtual std::optional<VcpuExit> complete_exit(Vcpu&, const VcpuExit&, const VcpuCompletion&);

  /// The guest turns on trusted DMA of a function that is bound to it, having found the
  /// device good: what its code would do, where none runs (exploration). Precondition: no
  /// vCPU comes or goes meanwhile. Errors: EIO the firmware refuses; ENXIO no such vCPU or
  /// function; EOPNOTSUPP no firmware would take it.
  virtual Result<void> guest_enables_dma(Bdf function);

  /// Gives everything back to the firmware: kvm_x86_ops.vm_destroy.
  virtual void destroy(Vm&) {}
};

/// Makes the VmOps of one VM type of KVM_CREATE_VM.
class VmTypeFactory {
 public:
  virtual ~VmTypeFactory() = default;
  /// The argument of KVM_CREATE_VM; below 64 also the bit in KVM_CAP_VM_TYPES.
  [[nodiscard]] virtual std::uint64_t type() const = 0;
  virtual Result<std::unique_ptr<VmOps>> make(Vm& vm) = 0;
};

}  // namespace teeio::kvm
