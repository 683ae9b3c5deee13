#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/kvm/vm_ops.h"
#include "host/mm/caller.h"
#include "hw/cpu.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

class Vm;
struct Slot;

enum class Zap : std::uint8_t { kShared, kPrivate, kBoth };

/// What became of a guest access that had no mapping.
struct FaultOutcome {
  enum class Kind : std::uint8_t {
    kRetry,        ///< mapped, or changed meanwhile: run the guest again
    kMemoryFault,  ///< KVM_EXIT_MEMORY_FAULT, KVM_RUN gives EFAULT
    kEmulate,      ///< nothing there: MMIO of the VMM
    kError,        ///< KVM_RUN gives `error`
  } kind = Kind::kRetry;
  bool is_private = false;  ///< what the guest asked for
  Error error{};
};

/// The second-stage tables of one VM: an ordinary one of its own and, for a
/// confidential VM, a mirror of what the firmware's secure table holds.
///
/// Locking: kvm->mmu_lock. An invalidation raises mmu_invalidate_seq first, so
/// a fault that looked a page up before and installs it after is retried
/// (Linux: mmu_invalidate_retry()).
class Mmu {
 public:
  explicit Mmu(Vm& vm) : vm_(vm) {}

  /// The page's mapping for an engine. `page` has the guest's shared bit.
  std::expected<hw::GuestMapping, hw::GuestMemory::Miss> lookup(Gpa page, hw::GuestAccess access)
      TEEIO_EXCLUDES(mmu_lock_);
  /// kvm_mmu_do_page_fault(). `page` has the guest's shared bit.
  FaultOutcome fault(mm::Caller& caller, Gpa page, hw::GuestAccess access)
      TEEIO_EXCLUDES(mmu_lock_);
  /// Faults that have looked something up and not mapped it yet look again (Linux:
  /// mmu_invalidate_seq raised without a zap); those that map now are waited for.
  void retry_faults() TEEIO_EXCLUDES(mmu_lock_);
  /// Takes mappings away, secure ones in the vendor's block–track–remove order.
  /// A refusal there is KVM_BUG_ON: the entry stays, the VM is dead.
  void zap(Gpa start, std::uint64_t size, Zap what) TEEIO_EXCLUDES(mmu_lock_);
  /// A memslot is there now: nothing of [start, start + size) is emulated any more because there
  /// was none (kvm_arch_memslots_updated(): MMIO SPTEs of another generation are stale).
  void memory_came(Gpa start, std::uint64_t size) TEEIO_EXCLUDES(mmu_lock_);
  /// After a KVM_BUG_ON, when the firmware's emergency exit is open: removes
  /// what a refused zap left behind of the MMIO in [start, start + size).
  void reclaim_mmio(Hpa start, std::uint64_t size) TEEIO_EXCLUDES(mmu_lock_);
  /// What the guest has mapped at a shared address (without its shared bit); waits for the
  /// lock, so not for a vCPU in the guest.
  [[nodiscard]] std::optional<hw::GuestMapping> shared_page(Gpa page) TEEIO_EXCLUDES(mmu_lock_);
  /// Books a page that the vendor mapped itself.
  void adopt_private(Gpa page, Hpa address) TEEIO_EXCLUDES(mmu_lock_);
  /// Has the vendor map a page by `map`, with the lock held, and books it. Errors: EEXIST
  /// something is there; map()'s.
  Result<void> adopt_private(Gpa page, Hpa address, const std::function<Result<void>()>& map)
      TEEIO_EXCLUDES(mmu_lock_);
  /// A private page comes in, as an access of the guest would bring it.
  FaultOutcome fault_private(Gpa page) TEEIO_EXCLUDES(mmu_lock_);
  /// A page of device memory becomes private, for the vendor's driver: no memslot is asked.
  /// Errors: EBUSY another page is there; EIO a dead VM; the vendor's.
  Result<void> map_device(Gpa page, Hpa address) TEEIO_EXCLUDES(mmu_lock_);
  /// What else of the vendor's changes the secure table.
  template <class Change>
  auto locked(Change change) TEEIO_EXCLUDES(mmu_lock_) {
    const schedule::Lock lock(mmu_lock_);
    return change();
  }
  [[nodiscard]] std::size_t private_mmio_pages() TEEIO_EXCLUDES(mmu_lock_);
  /// All that the guest has mapped, of 4 KiB each.
  [[nodiscard]] std::size_t mapped_pages() TEEIO_EXCLUDES(mmu_lock_);

  // Dirty logs, by memslot: a bit for each page that the guest has written since its bit was
  // cleared. Who clears one flushes the vCPUs' translations then, so that the next write is seen.
  /// `all_set`: KVM_DIRTY_LOG_INITIALLY_SET. A log that runs goes on from a new place.
  void start_dirty_log(std::uint32_t slot, Gpa start, std::uint64_t pages, bool all_set)
      TEEIO_EXCLUDES(mmu_lock_);
  void stop_dirty_log(std::uint32_t slot) TEEIO_EXCLUDES(mmu_lock_);
  /// The bits, in words; nullopt without a log.
  std::optional<std::vector<std::uint64_t>> dirty_log(std::uint32_t slot) TEEIO_EXCLUDES(mmu_lock_);
  /// Clears what is set in `mask`, whose first bit is page `first`, a multiple of 64.
  void clear_dirty_log(std::uint32_t slot, std::uint64_t first, std::span<const std::uint64_t> mask)
      TEEIO_EXCLUDES(mmu_lock_);

 private:
  struct Private {
    Hpa address;
    PageKind kind;
  };
  /// `seq` was read before the attribute was looked at.
  FaultOutcome fault_private(Slot& slot, Gpa page, std::uint64_t seq) TEEIO_EXCLUDES(mmu_lock_);
  FaultOutcome fault_shared(mm::Caller& caller, Slot& slot, Gpa page, hw::GuestAccess access,
                            std::uint64_t seq) TEEIO_EXCLUDES(mmu_lock_);
  FaultOutcome install_private(Gpa page, Hpa address, PageKind kind, std::uint64_t seq)
      TEEIO_EXCLUDES(mmu_lock_);
  /// Whether there was something to forget.
  bool forget_emulated(std::uint64_t first, std::uint64_t end) TEEIO_REQUIRES(mmu_lock_);
  void zap_private(std::uint64_t first, std::uint64_t end) TEEIO_REQUIRES(mmu_lock_);
  void remove_entries(const std::map<std::uint64_t, Private>& doomed) TEEIO_REQUIRES(mmu_lock_);
  [[nodiscard]] std::uint64_t invalidate_seq() TEEIO_EXCLUDES(mmu_lock_);
  void mark_dirty(Gpa page) TEEIO_REQUIRES(mmu_lock_);

  Vm& vm_;
  schedule::Mutex mmu_lock_{schedule::Rank::kKvmMmu};
  std::uint64_t invalidate_seq_ TEEIO_GUARDED_BY(mmu_lock_) = 0;
  std::map<std::uint64_t, hw::GuestMapping> shared_ TEEIO_GUARDED_BY(mmu_lock_);  ///< by gfn
  std::map<std::uint64_t, Private> private_ TEEIO_GUARDED_BY(mmu_lock_);          ///< by gfn
  /// Pages known to have no memslot, until one comes (KVM's MMIO SPTEs).
  std::set<std::uint64_t> emulated_ TEEIO_GUARDED_BY(mmu_lock_);
  /// Pages of read-only memslots that the guest has written to: a store there is the VMM's.
  std::set<std::uint64_t> emulated_stores_ TEEIO_GUARDED_BY(mmu_lock_);
  struct DirtyLog {
    std::uint64_t first;  ///< gfn
    std::uint64_t pages;
    std::vector<std::uint64_t> bits;
  };
  std::map<std::uint32_t, DirtyLog> dirty_logs_ TEEIO_GUARDED_BY(mmu_lock_);
};

}  // namespace teeio::kvm
