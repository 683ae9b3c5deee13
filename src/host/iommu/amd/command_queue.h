#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/types.h"
#include "hw/amd_iommu/amd_iommu.h"
#include "hw/physical_memory.h"
#include "schedule/mutex.h"

namespace teeio::amdvi {

/// Frames that follow each other. Errors: ENOMEM.
Result<Hpa> alloc_contiguous(hw::PhysicalMemory& memory, std::uint64_t pages);

/// The command buffer, and the word that COMPLETION_WAIT writes.
/// Source: Linux drivers/iommu/amd/iommu.c, __iommu_queue_command_sync(),
/// iommu_completion_wait(), build_inv_address(), build_inv_iommu_pages().
///
/// Locking: own lock (Linux: iommu->lock), rank kLeaf.
class CommandQueue {
 public:
  /// Errors: ENOMEM.
  static Result<std::unique_ptr<CommandQueue>> create(hw::PhysicalMemory& memory,
                                                      hw::AmdIommu& hardware);
  ~CommandQueue();
  CommandQueue(const CommandQueue&) = delete;
  CommandQueue& operator=(const CommandQueue&) = delete;

  static constexpr std::uint64_t kPages = 2;  ///< CMD_BUFFER_SIZE: 512 entries
  [[nodiscard]] Hpa base() const { return base_; }

  // Each returns when the hardware has carried it out.
  void invalidate_device(std::uint16_t rid) TEEIO_EXCLUDES(mutex_);
  /// Page directories too, as Linux always does. Precondition: not empty.
  void invalidate_pages(std::uint16_t domain, Iova start, std::uint64_t length)
      TEEIO_EXCLUDES(mutex_);
  void invalidate_domain(std::uint16_t domain) TEEIO_EXCLUDES(mutex_);
  void invalidate_all() TEEIO_EXCLUDES(mutex_);

 private:
  CommandQueue(hw::PhysicalMemory& memory, hw::AmdIommu& hardware, Hpa base, Hpa semaphore)
      : memory_(memory), hardware_(hardware), base_(base), semaphore_(semaphore) {}
  void run(std::uint64_t low, std::uint64_t high) TEEIO_EXCLUDES(mutex_);
  void put(std::uint64_t low, std::uint64_t high) TEEIO_REQUIRES(mutex_);

  hw::PhysicalMemory& memory_;
  hw::AmdIommu& hardware_;
  const Hpa base_;
  const Hpa semaphore_;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::uint64_t tail_ TEEIO_GUARDED_BY(mutex_) = 0;
  std::uint64_t waits_ TEEIO_GUARDED_BY(mutex_) = 0;
};

}  // namespace teeio::amdvi
