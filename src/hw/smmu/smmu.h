#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <utility>

#include "hw/iommu.h"
#include "hw/physical_memory.h"
#include "hw/smmu/formats.h"
#include "object/trace.h"
#include "schedule/cache_word.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::hw {

/// The realm half of an SMMUv3: translates T=1 requests by a stream table in memory.
///
/// Caches: a stream table entry and a translation are served until the command that drops
/// them was consumed, also after memory has changed. Nothing invalid is cached.
///
/// Lifetime: `memory` and `trace` outlive it. Locking: any task; ring() and translate() are
/// scheduling points, so that an explorer orders them.
class Smmu {
 public:
  /// `key`: with which tables are read and requests reach memory.
  Smmu(PhysicalMemory& memory, object::Trace& trace, std::uint32_t id, KeyId key)
      : memory_(memory), trace_(trace), id_(id), key_(key) {}

  /// Where the monitor has put things. Queues are of 2^`log2` entries.
  struct Setup {
    Hpa stream_table{0};  ///< level 1
    unsigned sid_bits = 0;
    Hpa commands{0}, events{0};
    unsigned commands_log2 = 0, events_log2 = 0;
  };
  /// SMMU_R_CR0: SMMUEN, CMDQEN, EVENTQEN. All caches are empty.
  void enable(const Setup& setup);
  void disable();
  [[nodiscard]] bool enabled() const;

  /// SMMU_R_CMDQ_PROD: consumes what lies between CONS and `prod`; false when a command is
  /// none that exists, or there is no such index: CONS stays there (CERROR_ILL).
  bool ring(std::uint32_t prod);
  [[nodiscard]] std::uint32_t commands_consumed() const;
  /// SMMU_R_EVENTQ_PROD and SMMU_R_EVENTQ_CONS: events wait in memory between the two.
  [[nodiscard]] std::uint32_t events_produced() const;
  void consume_events(std::uint32_t cons);

  /// As Iommu::translate(), of a T=1 request.
  std::expected<Iommu::Translation, IommuFault> translate(Requester from, Iova address,
                                                          DmaAccess access);
  /// Grows with each command that drops something, enable() and disable().
  [[nodiscard]] std::uint64_t generation() const;

 private:
  struct Leaf {
    Hpa page;
    bool read, write;
    KeyId key;
  };
  void next_generation() TEEIO_REQUIRES(lock_) { generation_.store(generation_.load() + 1); }
  using Entry = smmu::Ste;
  std::expected<Entry, smmu::Event> entry_of(std::uint32_t sid) TEEIO_REQUIRES(lock_);
  std::expected<Leaf, smmu::Event> leaf_of(const Entry& entry, Iova page) TEEIO_REQUIRES(lock_);
  bool obey(const smmu::Command& command) TEEIO_REQUIRES(lock_);
  std::unexpected<IommuFault> refuse(std::uint16_t rid, Iova address, DmaAccess access,
                                     smmu::Event event) TEEIO_REQUIRES(lock_);
  void write_event(std::uint32_t sid, Iova address, DmaAccess access, smmu::Event event)
      TEEIO_REQUIRES(lock_);

  PhysicalMemory& memory_;
  object::Trace& trace_;
  const std::uint32_t id_;
  const KeyId key_;
  schedule::Turn turn_;  ///< commands write it, requests read it
  schedule::CacheWord generation_;
  mutable schedule::RawLock lock_;
  std::optional<Setup> setup_ TEEIO_GUARDED_BY(lock_);
  std::uint32_t commands_ TEEIO_GUARDED_BY(lock_) = 0;  ///< CONS, with its wrap bit
  // PROD and CONS, with their wrap bits.
  std::uint32_t events_ TEEIO_GUARDED_BY(lock_) = 0;
  std::uint32_t taken_ TEEIO_GUARDED_BY(lock_) = 0;
  std::map<std::uint32_t, Entry> entries_ TEEIO_GUARDED_BY(lock_);
  std::map<std::pair<std::uint16_t, std::uint64_t>, Leaf> leaves_
      TEEIO_GUARDED_BY(lock_);  ///< by VMID and page
  std::optional<IommuFault> last_fault_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::hw
