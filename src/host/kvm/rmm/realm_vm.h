#pragma once

#include <memory>

#include "host/kvm/rmm/realm_host.h"
#include "host/kvm/vm.h"
#include "host/kvm/vm_ops.h"

namespace teeio::kvm {

/// KVM_VM_TYPE_ARM_REALM of the Arm CCA host patches.
inline constexpr std::uint64_t kVmTypeArmRealm = 0x100;

/// A realm, active from the VM's creation. Only its private MMIO is in the
/// monitor's tables; private RAM is refused. An entry needs no block and no
/// tracking: DEV_UNMAP invalidates by itself.
///
/// Lifetime: owned by its Vm; the RD and REC granules go back with it.
class RealmVm final : public VmOps {
 public:
  /// Errors: ENOMEM; EIO, EINVAL as the monitor says.
  static Result<std::unique_ptr<VmOps>> create(Vm& vm, RealmHost& host);

  [[nodiscard]] Hpa firmware_handle() const override { return rd_; }
  /// The realm's only REC: no guest code runs, so no vCPU needs one of its own.
  [[nodiscard]] Hpa rec() const { return rec_; }
  [[nodiscard]] bool has_private_memory() const override { return true; }
  [[nodiscard]] bool guest_state_protected() const override { return true; }
  [[nodiscard]] bool has_secure_table() const override { return true; }
  Result<void> map_private(Gpa gpa, Hpa page, PageKind kind) override;
  Result<void> remove_private(Gpa gpa, PageKind kind) override;
  /// RSI_VDEV_DMA_ENABLE with the nonce that RSI_VDEV_GET_INFO gives.
  Result<void> guest_enables_dma(Bdf function) override;
  void destroy(Vm& vm) override;

 private:
  RealmVm(RealmHost& host, Hpa rd, Hpa rec) : host_(host), rd_(rd), rec_(rec) {}
  RealmHost& host_;
  Hpa rd_;
  Hpa rec_;
};

/// Registers the type with KVM.
class RealmVmFactory final : public VmTypeFactory {
 public:
  explicit RealmVmFactory(RealmHost& host) : host_(host) {}
  [[nodiscard]] std::uint64_t type() const override { return kVmTypeArmRealm; }
  Result<std::unique_ptr<VmOps>> make(Vm& vm) override { return RealmVm::create(vm, host_); }

 private:
  RealmHost& host_;
};

}  // namespace teeio::kvm
