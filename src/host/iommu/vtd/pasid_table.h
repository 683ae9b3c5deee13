#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/result.h"
#include "base/types.h"
#include "hw/dma.h"
#include "hw/physical_memory.h"

namespace teeio::vtd {

/// What a PASID entry says (Linux: struct pasid_entry, pasid_pte_config_*()).
struct PasidSetting {
  enum class Kind : std::uint8_t { kBlocked, kIdentity, kSecondStage, kNested };
  Kind kind = Kind::kBlocked;
  Hpa second_stage{0};
  std::uint64_t first_stage = 0;  ///< of a nested one: an address of the second
  std::uint16_t domain_id = 0;
  bool tracks_dirty = false;  ///< SSADE
};

/// A function's PASID directory of one page and the tables below it, in memory (Linux:
/// struct pasid_table).
///
/// Locking: the driver's.
class PasidTable {
 public:
  /// How many PASIDs a directory of one page reaches.
  static constexpr unsigned kBits = 15;

  /// With the table of PASID 0, which requests without one use. Errors: ENOMEM.
  static Result<std::unique_ptr<PasidTable>> create(hw::PhysicalMemory& memory);
  ~PasidTable();
  PasidTable(const PasidTable&) = delete;
  PasidTable& operator=(const PasidTable&) = delete;

  [[nodiscard]] Hpa directory() const { return directory_; }
  /// Frames that PASIDs brought, attached or not: as Linux, which has no way back but
  /// intel_pasid_free_table().
  [[nodiscard]] std::uint64_t kept_frames() const { return tables_.size() - 1; }
  /// PDTS of the context entry (context_get_sm_pds()).
  static constexpr std::uint64_t kDirectorySize = kBits - 13;

  /// intel_pasid_get_entry(): makes room. Errors: ENOMEM.
  Result<void> reserve(std::uint32_t pasid);
  /// In one step, for a walk reads an entry in one. Gives what it was. Precondition: reserved.
  PasidSetting write(std::uint32_t pasid, const PasidSetting& setting);

 private:
  explicit PasidTable(hw::PhysicalMemory& memory) : memory_(memory) {}

  hw::PhysicalMemory& memory_;
  Hpa directory_{0};
  std::map<std::uint32_t, Hpa> tables_;             ///< by index in the directory
  std::map<std::uint32_t, PasidSetting> settings_;  ///< of PASIDs that are not blocked
};

}  // namespace teeio::vtd
