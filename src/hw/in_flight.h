#pragma once

#include <cstdint>

#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::hw {

/// The requests that an IOMMU has translated, or is about to, and that have not reached
/// memory yet. An invalidation waits for those that came before it (VT-d 6.5.2.3, drain of
/// reads and writes; AMD's COMPLETION_WAIT): what was written through a translation that is
/// gone has been written then, and a dirty bit that was cleared had its page's bytes in place.
///
/// Locking: any task. A request takes no lock that a task which drains may hold: none below
/// rank kPhysicalMemory. drain() takes the lock `iommu hardware`, and only if it must wait.
class RequestsInFlight {
 public:
  /// One request, from before it is translated until its bytes have moved.
  class Request {
   public:
    explicit Request(RequestsInFlight& all);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

   private:
    friend class RequestsInFlight;
    RequestsInFlight& all_;
    std::uint64_t epoch_;
    Request* next_;
    Request* before_ = nullptr;
  };

  /// Returns when every request that was there has ended; explored in a section of a monitor,
  /// which is an instant (schedule/monitor.h), at once: they arrive after it. Otherwise it
  /// waits there too: what a card has written arrives after its section (HostBridge). Reads of
  /// a card are over with their section.
  void drain() TEEIO_EXCLUDES(waiting_);

 private:
  [[nodiscard]] bool any_before(std::uint64_t epoch);

  // no Turn: the one in in_flight.cc is of all IOMMUs
  schedule::RawLock lock_;
  Request* first_ TEEIO_GUARDED_BY(lock_) = nullptr;
  std::uint64_t epoch_ TEEIO_GUARDED_BY(lock_) = 0;
  std::uint32_t drains_ TEEIO_GUARDED_BY(lock_) = 0;

  schedule::Mutex waiting_{schedule::Rank::kIommuHardware};
  schedule::Condition ended_;
};

}  // namespace teeio::hw
