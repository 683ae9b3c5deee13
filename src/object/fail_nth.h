#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string_view>

#include "schedule/atomic.h"
#include "schedule/fault_point.h"
#include "schedule/raw_lock.h"

namespace teeio::object {

/// What a kernel with CONFIG_FAULT_INJECTION lets a program make fail: the n-th failable step
/// of a thread's own calls, by its file fail-nth. A step is the running task's if its origin
/// says so; what runs on nobody's behalf never fails.
/// Source: Linux lib/fault-inject.c, should_fail_ex(); mm/failslab.c; mm/fail_page_alloc.c;
/// drivers/iommu/iommufd/selftest.c.
///
/// Locking: its own, a leaf.
class FailNth final : public schedule::FaultPlan {
 public:
  /// A thread's task_struct::fail_nth: how many steps are left until one fails; 0: none will.
  void set(std::int32_t tid, std::uint32_t nth);
  [[nodiscard]] std::uint32_t get(std::int32_t tid);
  /// The thread ended.
  void forget(std::int32_t tid);
  bool happens(schedule::FaultPlace place, std::string_view name, schedule::Fault fault) override;

  /// A folder of debugfs (Linux: struct fault_attr and what is beside it).
  struct Folder {
    Folder(std::string_view its_name, bool waits, bool highmem, std::uint64_t order)
        : name(its_name), ignores_wait(waits), ignores_highmem(highmem), min_order(order) {}
    std::string_view name;
    schedule::Atomic<bool> ignores_wait;     ///< what may sleep does not fail: all that teeio has
    schedule::Atomic<bool> ignores_highmem;  ///< of which teeio has nothing
    schedule::Atomic<std::uint64_t> min_order;  ///< smaller runs of pages than 2^n do not fail
    schedule::Atomic<std::uint64_t> verbose{2};
  };
  [[nodiscard]] Folder& slab() { return slab_; }
  [[nodiscard]] Folder& page() { return page_; }
  [[nodiscard]] Folder& iommufd() { return iommufd_; }

  /// Told what was made to fail, while the folder's verbose is not 0. Before the first step.
  void on_failure(std::function<void(std::int32_t tid, std::string_view step)> told) {
    told_ = std::move(told);
  }

 private:
  Folder& folder_of(schedule::Fault fault);

  Folder slab_{"failslab", true, false, 0};
  Folder page_{"fail_page_alloc", true, true, 1};
  Folder iommufd_{"fail_iommufd", false, false, 0};
  std::function<void(std::int32_t, std::string_view)> told_;
  schedule::RawLock lock_;
  std::map<std::int32_t, std::uint32_t> left_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::object
