#include "host/iommu/vtd/pasid_table.h"

#include <span>

#include "base/check.h"

namespace teeio::vtd {
namespace {

constexpr std::uint64_t kEntryPresent = 1;
constexpr std::uint64_t kWidth48 = std::uint64_t{2} << 2U;          // AW
constexpr std::uint64_t kTypeSecondStage = std::uint64_t{2} << 6U;  // PGTT
constexpr std::uint64_t kTypeNested = std::uint64_t{3} << 6U;
constexpr std::uint64_t kTypePassThrough = std::uint64_t{4} << 6U;
constexpr std::uint64_t kTracksDirty = std::uint64_t{1} << 9U;  // SSADE

constexpr std::uint32_t kTableEntries = 64;
constexpr std::uint64_t kEntryBytes = 64;

std::uint64_t first_word(const PasidSetting& setting) {
  const std::uint64_t tracks = setting.tracks_dirty ? kTracksDirty : 0;
  switch (setting.kind) {
    case PasidSetting::Kind::kBlocked:
      return 0;
    case PasidSetting::Kind::kIdentity:
      return kEntryPresent | kWidth48 | kTypePassThrough;
    case PasidSetting::Kind::kSecondStage:
      return kEntryPresent | kWidth48 | kTypeSecondStage | tracks | raw(setting.second_stage);
    case PasidSetting::Kind::kNested:
      return kEntryPresent | kWidth48 | kTypeNested | tracks | raw(setting.second_stage);
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<PasidTable>> PasidTable::create(hw::PhysicalMemory& memory) {
  auto table = std::unique_ptr<PasidTable>(new PasidTable(memory));
  TEEIO_ASSIGN(table->directory_, memory.alloc_page());
  TEEIO_TRY(table->reserve(0));
  return table;
}

PasidTable::~PasidTable() {
  for (const auto& [index, table] : tables_) memory_.free_page(table);
  if (raw(directory_) != 0) memory_.free_page(directory_);
}

Result<void> PasidTable::reserve(std::uint32_t pasid) {
  const std::uint32_t index = pasid / kTableEntries;
  if (tables_.contains(index)) return {};
  TEEIO_ASSIGN(const Hpa table, memory_.alloc_page());
  tables_.emplace(index, table);
  TEEIO_CHECK(memory_.write_u64(directory_ + 8 * std::uint64_t{index}, raw(table) | kEntryPresent)
                  .has_value(),
              "an IOMMU table lies outside of memory");
  return {};
}

PasidSetting PasidTable::write(std::uint32_t pasid, const PasidSetting& setting) {
  std::array<std::uint64_t, kEntryBytes / 8> words{};
  words[0] = first_word(setting);
  words[1] = setting.domain_id;
  if (setting.kind == PasidSetting::Kind::kNested)
    words[2] = setting.first_stage & ~(std::uint64_t{kPageSize} - 1);
  memory_.touch_tables(hw::PhysicalMemory::Tables::kShared, schedule::Touch::How::kUpdate);
  const Hpa entry = tables_.at(pasid / kTableEntries) + pasid % kTableEntries * kEntryBytes;
  TEEIO_CHECK(memory_.write(entry, std::as_bytes(std::span(words))).has_value(),
              "an IOMMU table lies outside of memory");
  const auto known = settings_.find(pasid);
  const PasidSetting old = known == settings_.end() ? PasidSetting{} : known->second;
  if (setting.kind == PasidSetting::Kind::kBlocked)
    settings_.erase(pasid);
  else
    settings_[pasid] = setting;
  return old;
}

}  // namespace teeio::vtd
