#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/types.h"
#include "hw/amd_iommu/registers.h"
#include "hw/physical_memory.h"
#include "schedule/cache_word.h"
#include "schedule/raw_lock.h"

namespace teeio::hw::amd {

/// The registers, and the event log that they describe.
///
/// Locking: any task. Memory is never touched under the lock: an address that software
/// gave may be anything.
class RegisterFile {
 public:
  explicit RegisterFile(PhysicalMemory& memory) : memory_(memory) {}

  [[nodiscard]] std::uint64_t read(std::uint32_t offset) const;
  void write(std::uint32_t offset, std::uint64_t value);

  [[nodiscard]] bool enabled() const { return (control_.load() & kIommuEnable) != 0; }
  [[nodiscard]] std::uint64_t device_table() const { return device_table_.load(); }
  void set_features(std::uint64_t features, std::uint64_t features2);

  /// The address of the next command, or none: the buffer is empty, off or stopped.
  [[nodiscard]] std::optional<Hpa> next_command() const;
  void command_done();
  void stop_commands();
  void completion_interrupt();

  /// Appends an entry of two words; when the log is full it stops, as the specification
  /// has it (2.5.1).
  void log(std::uint64_t low, std::uint64_t high);
  void set_event_interrupt(std::function<void()> interrupt);

 private:
  struct Ring {
    std::uint64_t base = 0, head = 0, tail = 0;
    [[nodiscard]] std::uint64_t bytes(std::uint64_t entry_bytes) const;
    [[nodiscard]] std::uint64_t after(std::uint64_t offset, std::uint64_t entry_bytes) const;
    [[nodiscard]] Hpa at(std::uint64_t offset) const {
      return Hpa{(base & kAddressField) + offset};
    }
  };
  void write_control(std::uint64_t value) TEEIO_REQUIRES(lock_);
  void write_status(std::uint64_t value) TEEIO_REQUIRES(lock_);

  PhysicalMemory& memory_;
  schedule::CacheWord control_;       // read without the lock
  schedule::CacheWord device_table_;  // read without the lock

  // no Turn: AmdIommu takes its own before requests and writes of registers
  mutable schedule::RawLock lock_;
  std::uint64_t features_ TEEIO_GUARDED_BY(lock_) = kInvalidateAllSupported | kHostSixLevels
                                                    | kHostAccessed | kHostDirty;
  std::uint64_t features2_ TEEIO_GUARDED_BY(lock_) = 0;
  std::uint64_t status_ TEEIO_GUARDED_BY(lock_) = 0;
  Ring commands_ TEEIO_GUARDED_BY(lock_);
  Ring events_ TEEIO_GUARDED_BY(lock_);
  std::uint64_t next_event_ TEEIO_GUARDED_BY(lock_) =
      0;  ///< where the next entry goes; the tail follows
  std::uint32_t writers_ TEEIO_GUARDED_BY(lock_) = 0;  ///< entries that are being written
  std::function<void()> interrupt_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::hw::amd
