#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/kvm/event_fds.h"
#include "host/kvm/memory_slot.h"
#include "host/kvm/mmu.h"
#include "host/kvm/vm_ops.h"
#include "host/kvm/x86/vm_state.h"
#include "host/mm/caller.h"
#include "hw/cpu.h"
#include "object/ref.h"
#include "object/trace.h"
#include "schedule/atomic.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::kvm {

class Kvm;
class VfioDevice;
class Vcpu;
class VmFile;

/// A virtual machine (Linux: struct kvm).
///
/// Lifetime: counted (users_count); the VM file, every vCPU's file, every guest_memfd and the KVM
/// devices hold it. Destroyed with the last of them, and its vCPUs with it, after which its
/// secure memory and keys are gone. Whoever keeps a bare pointer to it, as
/// Linux's struct pci_tdi does, holds memory(): then a use that comes too late
/// is a rule that breaks (gone()), and not a crash of teeio.
/// Locking: slots_lock over memslots and attributes; the MMU has its own.
class Vm final : public object::Counted {
 public:
  /// `number` counts VMs from 1, for traces. `mm_id`: whose VM it is.
  static Result<object::Ref<Vm>> create(Kvm& kvm, VmTypeFactory* type, std::uint32_t number,
                                        std::uint64_t mm_id);

  [[nodiscard]] std::shared_ptr<Vm> memory();
  /// Whether the last reference is gone. Only with memory() held.
  [[nodiscard]] bool gone();

  [[nodiscard]] std::uint32_t number() const { return number_; }
  [[nodiscard]] Kvm& kvm() const { return kvm_; }
  [[nodiscard]] VmOps& ops() const { return *ops_; }
  [[nodiscard]] Mmu& mmu() { return *mmu_; }
  [[nodiscard]] Hpa firmware_handle() const { return ops_->firmware_handle(); }
  [[nodiscard]] object::Trace& trace() const;

  /// KVM_BUG_ON: the VM is marked dead, every further ioctl gives EIO, and
  /// vCPUs stop. `why` is a literal.
  void bug(std::string_view why);
  [[nodiscard]] bool dead() const { return dead_.load(); }
  /// Errors: EIO for a dead VM or a caller with another address space.
  Result<void> check_usable(std::uint64_t mm_id) const;

  /// KVM_SET_USER_MEMORY_REGION2. Errors: kvm_set_memory_region()'s EINVAL and
  /// EEXIST; EBADF and EINVAL for the guest_memfd or dma-buf.
  Result<void> set_memory_region(mm::Caller& caller, const MemoryRegion& region)
      TEEIO_EXCLUDES(slots_lock_);
  /// KVM_SET_MEMORY_ATTRIBUTES. Errors: EINVAL.
  Result<void> set_memory_attributes(Gpa start, std::uint64_t size, std::uint64_t attributes)
      TEEIO_EXCLUDES(slots_lock_);
  [[nodiscard]] std::uint64_t supported_attributes() const;
  /// KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2. Errors: EINVAL.
  Result<void> set_dirty_log_protect(std::uint64_t mode) TEEIO_EXCLUDES(slots_lock_);
  /// KVM_GET_DIRTY_LOG: a bit for each page. Errors: EINVAL, ENOENT without a log.
  Result<std::vector<std::uint64_t>> dirty_log(std::uint32_t id) TEEIO_EXCLUDES(slots_lock_);
  /// KVM_CLEAR_DIRTY_LOG. Errors: as dirty_log(); EINVAL for pages that are not the slot's.
  Result<void> check_dirty_range(std::uint32_t id, std::uint64_t first, std::uint64_t pages)
      TEEIO_EXCLUDES(slots_lock_);
  Result<void> clear_dirty_log(std::uint32_t id, std::uint64_t first, std::uint64_t pages,
                               std::span<const std::uint64_t> mask) TEEIO_EXCLUDES(slots_lock_);
  [[nodiscard]] bool is_private(Gpa page) const;

  /// The slot of a page with what a fault needs of it; the SRCU read side is
  /// the caller's (srcu()).
  /// Whether memslots have the whole range, and none of them is read-only
  /// (kvm_gfn_to_hva_cache_init()).
  [[nodiscard]] bool is_writable(Gpa start, std::uint64_t size) TEEIO_EXCLUDES(srcu_);
  [[nodiscard]] Slot* find_slot(Gpa page) TEEIO_REQUIRES_SHARED(srcu_);
  [[nodiscard]] schedule::RwMutex& srcu() TEEIO_RETURN_CAPABILITY(srcu_) { return srcu_; }

  /// A guest_memfd goes away: its slots lose their private side.
  void gmem_released(const void* gmem) TEEIO_EXCLUDES(slots_lock_);

  /// Where the guest has [offset, offset + size) of a guest_memfd.
  [[nodiscard]] std::vector<std::pair<Gpa, std::uint64_t>> gmem_ranges(const void* gmem,
                                                                       std::uint64_t offset,
                                                                       std::uint64_t size)
      TEEIO_REQUIRES_SHARED(srcu_);

  /// KVM_CREATE_VCPU. Errors: EINVAL id too large; EEXIST, also when the descriptor of that
  /// vCPU is closed; the vendor's.
  Result<object::Ref<object::File>> create_vcpu(std::uint32_t id) TEEIO_EXCLUDES(lock_);
  /// The new vCPU's descriptor could not be given to the program: as if it had not been made.
  void forget_vcpu(std::uint32_t id) TEEIO_EXCLUDES(lock_);
  /// The vCPU runs for the first time, and is flushed from now on.
  void flushes(Vcpu& vcpu) TEEIO_EXCLUDES(vcpu_list_lock_);
  /// What KVM_ENABLE_CAP and x86's own ioctls set.
  [[nodiscard]] x86::VmState& x86() { return x86_; }
  [[nodiscard]] IrqFds& irq_fds() { return irq_fds_; }
  [[nodiscard]] IoEventFds& io_event_fds() { return io_event_fds_; }
  /// Runs `use(x86(), created vCPUs)` with kvm->lock held: what only goes before the vCPUs.
  template <class Use>
  auto before_vcpus(Use use) TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    return use(x86_, vcpus_.size());
  }
  /// Gets every vCPU out of the guest and drops its cached translations of the
  /// range (kvm_flush_remote_tlbs()). May run on any task but a running vCPU's.
  void flush_remote_tlbs(Gpa start, std::uint64_t size);
  /// How often that was.
  [[nodiscard]] std::uint64_t flush_requests() TEEIO_EXCLUDES(vcpu_list_lock_);

  /// The one KVM-VFIO device a VM may have. Errors: EBUSY.
  Result<void> claim_vfio_device() TEEIO_EXCLUDES(lock_);
  void release_vfio_device() TEEIO_EXCLUDES(lock_);

  /// KVM_CREATE_VM's argument.
  [[nodiscard]] std::uint64_t type() const { return type_; }
  /// The VM's file with a reference of its own, or null once its final release
  /// has begun (get_file_active(&kvm->_file)).
  [[nodiscard]] object::Ref<object::File> active_file() TEEIO_EXCLUDES(file_lock_);

 private:
  friend class VmFile;
  Vm(Kvm& kvm, std::uint32_t number, std::uint64_t mm_id);
  ~Vm() override;
  void last_put() override;
  /// kvm_destroy_vm().
  void destroy();
  /// kvm_destroy_vcpus().
  void destroy_vcpus() TEEIO_EXCLUDES(lock_);
  Result<void> create_slot(const MemoryRegion& region, Result<object::Ref<object::File>> backing)
      TEEIO_REQUIRES(slots_lock_);
  Result<void> delete_slot(std::uint32_t id) TEEIO_REQUIRES(slots_lock_);
  Result<void> modify_slot(Slot& slot, const MemoryRegion& region) TEEIO_REQUIRES(slots_lock_);
  void update_dirty_log(const Slot& slot) TEEIO_REQUIRES(slots_lock_);
  /// Where a slot with a dirty log is, and its bytes.
  Result<std::pair<Gpa, std::uint64_t>> logged_slot(std::uint32_t id) TEEIO_REQUIRES(slots_lock_);
  Result<std::pair<Gpa, std::uint64_t>> logged_range(std::uint32_t id, std::uint64_t first,
                                                     std::uint64_t pages)
      TEEIO_REQUIRES(slots_lock_);
  void set_file(VmFile* file) TEEIO_EXCLUDES(file_lock_);

  Kvm& kvm_;
  const std::uint32_t number_;
  const std::uint64_t mm_id_;
  schedule::Atomic<bool> dead_{false};
  std::uint64_t type_ = 0;
  std::unique_ptr<VmOps> ops_;
  std::unique_ptr<Mmu> mmu_;

  schedule::Mutex lock_{schedule::Rank::kKvmLock};
  bool has_vfio_device_ TEEIO_GUARDED_BY(lock_) = false;
  x86::VmState x86_;
  /// Gone before x86_, whose local APICs are theirs, and after what signals them.
  std::map<std::uint32_t, std::unique_ptr<Vcpu>> vcpus_ TEEIO_GUARDED_BY(lock_);
  IrqFds irq_fds_;
  IoEventFds io_event_fds_;

  schedule::Mutex slots_lock_{schedule::Rank::kKvmSlotsLock};
  schedule::RwMutex srcu_{schedule::Rank::kKvmSrcu};
  std::map<std::uint32_t, std::unique_ptr<Slot>> slots_ TEEIO_GUARDED_BY(srcu_);
  std::uint64_t dirty_log_protect_ TEEIO_GUARDED_BY(slots_lock_) = 0;

  mutable schedule::Mutex attributes_lock_{schedule::Rank::kLeaf};
  std::set<std::uint64_t> private_gfns_ TEEIO_GUARDED_BY(attributes_lock_);

  /// Those that have run, for flush_remote_tlbs(), which runs below kvm->lock.
  schedule::Mutex vcpu_list_lock_{schedule::Rank::kLeaf};
  std::vector<Vcpu*> vcpu_list_ TEEIO_GUARDED_BY(vcpu_list_lock_);
  std::uint64_t flush_requests_ TEEIO_GUARDED_BY(vcpu_list_lock_) = 0;

  /// No scheduling point: Linux has neither of the two. Who looks is ordered with the last put.
  const schedule::Turn memory_turn_{"VM's memory"};
  schedule::RawLock memory_lock_;
  std::shared_ptr<Vm> memory_ TEEIO_GUARDED_BY(memory_lock_);  ///< empty after the last put

  schedule::Mutex file_lock_{schedule::Rank::kLeaf};
  VmFile* file_ TEEIO_GUARDED_BY(file_lock_) = nullptr;
};

}  // namespace teeio::kvm
