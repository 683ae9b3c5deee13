#pragma once

#include <memory>
#include <set>

#include "host/kvm/rmm/realm_host.h"
#include "host/kvm/vm.h"
#include "host/kvm/vm_ops.h"

namespace teeio::kvm {

/// KVM_VM_TYPE_ARM_REALM of the Arm CCA host patches.
inline constexpr std::uint64_t kVmTypeArmRealm = 0x100;

/// A realm, active from the VM's creation. Only its private MMIO is in the
/// monitor's tables, whose tables are made when a page first needs them and go with the
/// realm; private RAM is refused. An entry needs no block and no tracking: DEV_UNMAP
/// invalidates by itself.
///
/// Lifetime: owned by its Vm; the realm's granules go back with it.
/// Locking: the tables change with kvm->mmu_lock held, as the secure table's hooks run.
class RealmVm final : public VmOps {
 public:
  /// Errors: ENOMEM; EIO, EINVAL as the monitor says.
  static Result<std::unique_ptr<VmOps>> create(Vm& vm, RealmHost& host);

  [[nodiscard]] Hpa firmware_handle() const override { return granules_.rd; }
  /// The realm's only REC: no guest code runs, so no vCPU needs one of its own.
  [[nodiscard]] Hpa rec() const { return granules_.rec; }
  [[nodiscard]] bool has_private_memory() const override { return true; }
  [[nodiscard]] bool guest_state_protected() const override { return true; }
  [[nodiscard]] bool has_secure_table() const override { return true; }
  Result<void> map_private(Gpa gpa, Hpa page, PageKind kind) override;
  Result<void> remove_private(Gpa gpa, PageKind kind) override;
  /// The realm's own calls, where no code of it runs: RSI_VDEV_GET_INFO for the nonces, and
  /// RSI_VDEV_DMA_ENABLE with them.
  Result<void> guest_enables_dma(Bdf function) override;
  /// As above, of RSI_VDEV_VALIDATE_MAPPING up to its exit. Errors: EIO the monitor
  /// refuses; ENXIO the realm has no such VDEV.
  Result<void> guest_asks_for(std::uint64_t vdev_id, Hpa vdev, Gpa base, Gpa top, Hpa address);
  void destroy(Vm& vm) override;

  /// What a realm is made of.
  struct Granules {
    Hpa rd, rtt, rec;
  };

 private:
  RealmVm(RealmHost& host, const Granules& granules) : host_(host), granules_(granules) {}
  Result<rmm::Nonces> nonces(std::uint64_t vdev_id, Hpa vdev);
  rmm::RmiResult dev_map(Gpa gpa, Hpa page, Hpa vdev);
  Result<void> add_table(Gpa gpa, std::uint8_t level);

  struct Table {
    std::uint8_t level;
    std::uint64_t base;
    /// The lowest tables first, as they are taken away.
    auto operator<=>(const Table& other) const {
      return std::pair(-int{level}, base) <=> std::pair(-int{other.level}, other.base);
    }
  };
  RealmHost& host_;
  const Granules granules_;
  std::set<Table> tables_;
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
