#pragma once

#include <cstdint>
#include <map>

#include "base/result.h"
#include "hw/pci_function.h"
#include "schedule/monitor.h"

namespace teeio::hw {

/// Who gets an interrupt: VFIO's eventfd, a test.
/// Locking: called with InterruptRemapping's lock held (rank kIommuHardware),
/// often below a device's: takes only higher ranks (kMm, kWaitQueue, kLeaf).
class InterruptHandler {
 public:
  virtual ~InterruptHandler() = default;
  virtual void interrupt() = 0;
};

/// What software writes into an MSI-X table entry.
struct InterruptMessage {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
};

/// The interrupt remapping table: which handler a message is for, and which
/// function alone may send it.
/// Source: Intel VT-d spec 5.1 (remappable format 5.1.2.2, source-id 5.1.4).
///
/// Lifetime: outlives every function; a handler lives until disconnect().
/// Locking: own lock, rank kIommuHardware.
class InterruptRemapping final : public InterruptSink {
 public:
  static constexpr std::uint32_t kEntries = 65536;

  /// Takes the lowest free entry for messages of `rid`. Errors: ENOSPC.
  Result<InterruptMessage> connect(std::uint16_t rid, InterruptHandler& handler)
      TEEIO_EXCLUDES(mutex_);
  /// Returns when no call of the handler runs. Precondition: connected.
  void disconnect(const InterruptMessage& message) TEEIO_EXCLUDES(mutex_);

  /// A message arrives. One in another format, for a free entry or from the wrong
  /// function is blocked and counted.
  void message_signalled(std::uint16_t rid, std::uint64_t address, std::uint32_t data) override
      TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::uint64_t blocked() const TEEIO_EXCLUDES(mutex_);

 private:
  struct Entry {
    std::uint16_t rid;
    InterruptHandler* handler;
  };
  mutable schedule::Monitor mutex_{schedule::Rank::kIommuHardware};
  std::map<std::uint32_t, Entry> entries_ TEEIO_GUARDED_BY(mutex_);
  std::uint64_t blocked_ TEEIO_GUARDED_BY(mutex_) = 0;
};

}  // namespace teeio::hw
