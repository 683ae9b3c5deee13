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

/// Who handles a function's INTx.
/// Locking: as InterruptHandler.
class IntxHandler {
 public:
  virtual ~IntxHandler() = default;
  /// The function asserts it. True: it is to mask itself, by its Interrupt Disable.
  virtual bool asserted() = 0;
};

/// What software writes into an MSI-X table entry, or an MSI capability.
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

  /// Takes the lowest free `count` entries that follow each other, for the messages of an MSI
  /// capability: the data says which one. Nobody handles them yet. Errors: ENOSPC.
  /// Precondition: 1 to 32. Source: Linux drivers/iommu/intel/irq_remapping.c, alloc_irte().
  Result<InterruptMessage> reserve(std::uint16_t rid, std::uint32_t count) TEEIO_EXCLUDES(mutex_);
  /// Who handles entry `index` of those; null: nobody, and the message is dropped. Returns when
  /// no call of the one before runs. Precondition: reserved.
  void handle(const InterruptMessage& first, std::uint32_t index, InterruptHandler* handler)
      TEEIO_EXCLUDES(mutex_);
  void release(const InterruptMessage& first, std::uint32_t count) TEEIO_EXCLUDES(mutex_);

  /// Who handles the INTx of `rid`. What it asserts already is nobody's: the caller has it
  /// masked. Precondition: nobody does. Source: Linux request_irq(), free_irq().
  void connect_intx(std::uint16_t rid, IntxHandler& handler) TEEIO_EXCLUDES(mutex_);
  /// Returns when no call of the handler runs.
  void disconnect_intx(std::uint16_t rid) TEEIO_EXCLUDES(mutex_);
  bool intx(std::uint16_t rid, bool asserted) override TEEIO_EXCLUDES(mutex_);

  /// A message arrives. One in another format, for a free entry or from the wrong
  /// function is blocked and counted.
  void message_signalled(std::uint16_t rid, std::uint64_t address, std::uint32_t data) override
      TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] std::uint64_t blocked() const TEEIO_EXCLUDES(mutex_);

 private:
  struct Entry {
    std::uint16_t rid;
    InterruptHandler* handler;  ///< null: reserved, and nobody's
  };
  [[nodiscard]] std::uint32_t lowest_free(std::uint32_t count) const TEEIO_REQUIRES(mutex_);
  mutable schedule::Monitor mutex_{schedule::Rank::kIommuHardware};
  std::map<std::uint32_t, Entry> entries_ TEEIO_GUARDED_BY(mutex_);
  std::map<std::uint16_t, IntxHandler*> intx_ TEEIO_GUARDED_BY(mutex_);
  std::uint64_t blocked_ TEEIO_GUARDED_BY(mutex_) = 0;
};

}  // namespace teeio::hw
