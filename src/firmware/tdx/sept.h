#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/types.h"
#include "firmware/tdx/td.h"
#include "firmware/tdx/types.h"
#include "hw/physical_memory.h"

namespace teeio::tdx {

/// States of a secure EPT entry. Source: tdxio branch, include/auto_gen/
/// sept_state_lookup.h, without the migration states.
enum class SeptState : std::uint8_t {
  kFree = 0,
  kPending = 1,
  kMapped = 2,
  kBlocked = 3,
  kPendingBlocked = 4,
  kTable = 5,  ///< NL_MAPPED: points to a table page
  kTableBlocked = 6,
  kMmioPending = 7,
  kMmioMapped = 8,
  kMmioBlocked = 9,
};

/// The operands of a leaf that names an entry, for its event.
[[nodiscard]] std::string describe(Gpa gpa, Level level);

/// One 8-byte entry as it lies in memory, where processor and IOMMU walk it:
/// bits 0 read, 1 write, 7 page size, 51:12 address; the state is in bits 55:52,
/// which walkers ignore. Only kMapped, kMmioMapped and kTable have permissions.
class SeptEntry {
 public:
  SeptEntry() = default;
  explicit SeptEntry(std::uint64_t value) : value_(value) {}
  [[nodiscard]] static SeptEntry make(SeptState state, Level level, Hpa address);

  [[nodiscard]] SeptState state() const { return static_cast<SeptState>(value_ >> 52U & 0xfU); }
  [[nodiscard]] Hpa address() const { return Hpa{value_ & 0x000f'ffff'ffff'f000U}; }
  [[nodiscard]] bool is_table() const { return state() == SeptState::kTable; }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

/// The secure EPT of one TD: real tables in frames that the host donated.
/// Lifetime: a view for the length of one leaf. Locking: State::mutex.
class Sept {
 public:
  Sept(hw::PhysicalMemory& memory, const Td& td) : memory_(memory), td_(td) {}

  struct Place {
    Hpa where{0};  ///< of the entry
    Level level = Level::k512G;
    SeptEntry entry;
  };
  /// From the root down to the entry of `level`, or to the first entry on the
  /// way that is no table (then its level is above).
  [[nodiscard]] Place walk(Gpa gpa, Level level) const;
  void write(Hpa where, SeptEntry entry) const;
  /// Where a byte of private memory is that the guest has accepted.
  [[nodiscard]] std::optional<Hpa> accepted_ram(Gpa gpa) const;
  /// Whether a table page has an entry that is not FREE.
  [[nodiscard]] bool table_in_use(Hpa table) const;

 private:
  [[nodiscard]] SeptEntry read(Hpa where) const;
  hw::PhysicalMemory& memory_;
  const Td& td_;
};

}  // namespace teeio::tdx
