#pragma once

#include <cstdint>
#include <set>

#include "base/result.h"
#include "base/types.h"
#include "firmware/tdx/module.h"
#include "hw/physical_memory.h"
#include "object/trace.h"
#include "schedule/mutex.h"

namespace teeio::kvm {

/// What the host's TDX code shares between VMs and the TSM driver: the module,
/// key ids, pages lent to the firmware, and the rule of one SPDM call at a
/// time (Linux: arch/x86/virt/vmx/tdx, tdx_ext_lock).
///
/// Lifetime: one a machine.
class TdxHost {
 public:
  TdxHost(tdx::Module& module, hw::PhysicalMemory& memory, object::Trace& trace,
          std::uint32_t iommus, std::uint16_t hkids);

  [[nodiscard]] tdx::Module& module() { return module_; }
  [[nodiscard]] hw::PhysicalMemory& memory() { return memory_; }
  [[nodiscard]] object::Trace& trace() { return trace_; }
  [[nodiscard]] std::uint32_t iommu_count() const { return iommus_; }

  /// tdx_guest_keyid_alloc(). Errors: ENOSPC.
  Result<std::uint16_t> alloc_hkid() TEEIO_EXCLUDES(hkid_lock_);
  void free_hkid(std::uint16_t hkid) TEEIO_EXCLUDES(hkid_lock_);

  /// Makes a leaf call until it is neither busy nor interrupted, or kMaxTries
  /// were in vain.
  template <class Leaf>
  tdx::LeafResult call(Leaf leaf) {
    for (unsigned tries = 0;; ++tries) {
      const tdx::LeafResult result = leaf();
      if (!result.status.retry() || tries == kMaxTries) return result;
      // Recoverable by its class, and nothing to wait for: there is nothing to flush.
      if (result.status == tdx::Code::kVcpuNotAssociated) return result;
      give_way(tries);
    }
  }
  /// One try: for set-up, whose failure the caller reports. Goes on after an interrupt,
  /// and while something is busy that the status names.
  template <class Leaf>
  tdx::LeafResult once(Leaf leaf) {
    for (unsigned tries = 0;; ++tries) {
      const tdx::LeafResult result = leaf();
      const bool named =
          result.status == tdx::Code::kOperandBusy && result.status.operand() != tdx::Operand::kRax;
      if ((!named && result.status != tdx::Code::kInterruptedResumable) || tries == kMaxTries)
        return result;
      give_way(tries);
    }
  }
  /// An invalidation, from its request to where the IOMMU has passed it and the module knows:
  /// `request(wait)` queues it with a wait descriptor whose status is four bytes at `status`,
  /// which the caller has for itself. As call(); what `request` gives unless it queued, a remark
  /// that there is nothing to do among that. A queue that is full of somebody else's is waited for.
  template <class Request>
  tdx::LeafResult invalidate(std::uint32_t iommu, Hpa status, Request request) {
    clear_status(status);
    const tdx::LeafResult queued =
        queue(iommu, [&] { return request(tdx::wait_descriptor(kPassed, status)); });
    if (queued.status != tdx::Code::kSuccess) return queued;
    for (unsigned tries = 0;; ++tries) {
      const tdx::LeafResult done = call([&] { return module_.tdh_iq_inv_process(iommu); });
      if (!done.ok() || has_passed(status) || tries == kMaxTries) return done;
      give_way(tries);
    }
  }
  /// As call() and once(), with tdx_ext_lock held: for SPDM.CONNECT, MNG and DISCONNECT, of
  /// which the module runs one at a time.
  template <class Leaf>
  tdx::LeafResult extension(Leaf leaf) TEEIO_EXCLUDES(ext_lock_) {
    return call([&] { return locked(leaf); });
  }
  template <class Leaf>
  tdx::LeafResult extension_once(Leaf leaf) TEEIO_EXCLUDES(ext_lock_) {
    return once([&] { return locked(leaf); });
  }

 private:
  template <class Leaf>
  tdx::LeafResult locked(Leaf& leaf) TEEIO_EXCLUDES(ext_lock_) {
    const schedule::Lock lock(ext_lock_);
    return leaf();
  }
  /// A guest's own invalidations may fill the queue.
  template <class Leaf>
  tdx::LeafResult queue(std::uint32_t iommu, Leaf request) {
    for (unsigned tries = 0;; ++tries) {
      const tdx::LeafResult queued = call(request);
      if (queued.status != tdx::Code::kIqQueueFull || tries == kMaxTries) return queued;
      const tdx::LeafResult taken = call([&] { return module_.tdh_iq_inv_process(iommu); });
      if (!taken.ok()) return taken;
      give_way(tries);
    }
  }
  static constexpr std::uint32_t kPassed = 1;  ///< what a wait descriptor writes
  void clear_status(Hpa status);
  [[nodiscard]] bool has_passed(Hpa status);
  /// A leaf that stays busy this long is stuck: the caller's error then. Source: the posted
  /// TDX Connect series, TDX_SEAMCALL_RETRY_MAX.
  static constexpr unsigned kMaxTries = 10'000;
  /// Before the next try.
  static void give_way(unsigned tries);

  tdx::Module& module_;
  hw::PhysicalMemory& memory_;
  object::Trace& trace_;
  const std::uint32_t iommus_;
  schedule::Mutex ext_lock_{schedule::Rank::kTdxExt};
  schedule::Mutex hkid_lock_{schedule::Rank::kLeaf};
  std::set<std::uint16_t> free_hkids_ TEEIO_GUARDED_BY(hkid_lock_);
};

/// The errno of a refused leaf: EBUSY when the same call may succeed later, EIO
/// else, with `why`.
[[nodiscard]] Error leaf_error(const tdx::LeafResult& result, std::string_view why);

}  // namespace teeio::kvm
