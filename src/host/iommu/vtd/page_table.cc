#include "host/iommu/vtd/page_table.h"

#include <algorithm>

#include "base/check.h"
#include "schedule/memory_word.h"

namespace teeio::vtd {
namespace {

constexpr std::uint64_t kRead = 1U << 0;
constexpr std::uint64_t kWrite = 1U << 1;
constexpr std::uint64_t kLargePage = 1U << 7;
constexpr std::uint64_t kDirty = 1U << 9;
constexpr std::uint64_t kAddressMask = 0x000f'ffff'ffff'f000;
constexpr std::uint64_t kEntries = 512;

/// log2 of the bytes that one entry of a level covers: 12, 21, 30, 39.
constexpr unsigned shift_of(unsigned level) { return kPageShift + 9 * level; }
constexpr std::uint64_t size_of(unsigned level) { return std::uint64_t{1} << shift_of(level); }
constexpr std::size_t index_in(std::uint64_t iova, unsigned level) {
  return static_cast<std::size_t>(iova >> shift_of(level)) % kEntries;
}

/// The highest level at which one leaf may cover the start of the range: 0 to
/// 2, since CAP_REG offers 2 MiB and 1 GiB super pages.
unsigned leaf_level_for(std::uint64_t iova, std::uint64_t hpa, std::uint64_t length) {
  for (unsigned level = 2; level != 0; --level)
    if (((iova | hpa) & (size_of(level) - 1)) == 0 && length >= size_of(level)) return level;
  return 0;
}

}  // namespace

Result<std::unique_ptr<PageTable>> PageTable::create(hw::PhysicalMemory& memory) {
  auto table = std::unique_ptr<PageTable>(new PageTable(memory));
  TEEIO_TRY(table->init_table(table->top_, kLevels - 1));
  return table;
}

PageTable::~PageTable() {
  if (raw(top_.frame) != 0) free_tree(top_);
}

Result<void> PageTable::init_table(Table& table, unsigned level) {
  TEEIO_ASSIGN(table.frame, memory_.alloc_page());
  if (level != 0) table.children = std::make_unique<std::array<std::unique_ptr<Table>, kEntries>>();
  return {};
}

void PageTable::free_tree(Table& table) {
  if (table.children)
    for (auto& child : *table.children)
      if (child) free_tree(*child);
  memory_.free_page(table.frame);
}

std::uint64_t PageTable::entry(const Table& table, std::size_t index) const {
  const auto value = memory_.read_u64(table.frame + 8 * index);
  TEEIO_CHECK(value.has_value(), "an IOMMU table lies outside of memory");
  return *value;
}

void PageTable::set_entry(Table& table, std::size_t index, std::uint64_t value) {
  TEEIO_CHECK(memory_.write_u64(table.frame + 8 * index, value).has_value(),
              "an IOMMU table lies outside of memory");
}

Result<PageTable::Table*> PageTable::child_of(Table& table, std::size_t index,
                                              unsigned child_level) {
  std::unique_ptr<Table>& slot = (*table.children)[index];
  if (slot) return slot.get();
  auto child = std::make_unique<Table>();
  TEEIO_TRY(init_table(*child, child_level));
  set_entry(table, index, raw(child->frame) | kRead | kWrite);
  ++table.live;
  slot = std::move(child);
  return slot.get();
}

Result<void> PageTable::map_page(Iova iova, Hpa hpa, unsigned leaf_level, Prot prot) {
  Table* table = &top_;
  for (unsigned level = kLevels - 1; level != leaf_level; --level) {
    TEEIO_ASSIGN(table, child_of(*table, index_in(raw(iova), level), level - 1));
  }
  const std::size_t index = index_in(raw(iova), leaf_level);
  TEEIO_CHECK(entry(*table, index) == 0, "an IOVA is mapped twice in one domain");
  const std::uint64_t size_bit = leaf_level == 0 ? 0 : kLargePage;
  set_entry(*table, index, raw(hpa) | size_bit | static_cast<std::uint64_t>(prot));
  ++table->live;
  return {};
}

Result<void> PageTable::map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot) {
  TEEIO_CHECK(is_page_aligned(raw(iova) | raw(hpa) | length) && length != 0,
              "a domain maps whole pages");
  TEEIO_CHECK(raw(iova) <= kLastIova && length - 1 <= kLastIova - raw(iova),
              "an IOVA lies above the domain's aperture");
  while (length != 0) {
    const unsigned level = leaf_level_for(raw(iova), raw(hpa), length);
    TEEIO_TRY(map_page(iova, hpa, level, prot));
    iova = iova + size_of(level);
    hpa = hpa + size_of(level);
    length -= size_of(level);
  }
  return {};
}

std::uint64_t PageTable::unmap_in(Table& table, unsigned level, std::uint64_t first,
                                  std::uint64_t last, std::vector<Hpa>& freed) {
  std::uint64_t unmapped = 0;
  const std::size_t last_index = index_in(last, level);
  for (std::size_t index = index_in(first, level); index <= last_index; ++index) {
    // The addresses that this entry covers, relative to the table's own start.
    const std::uint64_t base = (first & ~(size_of(level + 1) - 1)) + index * size_of(level);
    const std::uint64_t from = std::max(first, base);
    const std::uint64_t to = std::min(last, base + (size_of(level) - 1));
    if (table.children && (*table.children)[index]) {
      std::unique_ptr<Table>& child = (*table.children)[index];
      unmapped += unmap_in(*child, level - 1, from, to, freed);
      if (child->live != 0) continue;
      freed.push_back(child->frame);
      child.reset();
    } else if (entry(table, index) != 0) {
      TEEIO_CHECK(to - from == size_of(level) - 1, "an unmap cuts a large page");
      unmapped += size_of(level);
    } else {
      continue;
    }
    set_entry(table, index, 0);
    --table.live;
  }
  return unmapped;
}

std::uint64_t PageTable::unmap(Iova iova, std::uint64_t length, std::vector<Hpa>& freed) {
  TEEIO_CHECK(is_page_aligned(raw(iova) | length) && length != 0, "a domain unmaps whole pages");
  return unmap_in(top_, kLevels - 1, raw(iova), raw(iova) + (length - 1), freed);
}

std::span<std::uint64_t> PageTable::words(const Table& table) const {
  const std::span<std::byte> bytes = memory_.direct(table.frame);
  TEEIO_CHECK(bytes.size() == kPageSize, "an IOMMU table lies outside of memory");
  return {reinterpret_cast<std::uint64_t*>(bytes.data()), kEntries};
}

void PageTable::scan_dirty(Table& table, unsigned level, std::uint64_t first, std::uint64_t last,
                           iommu::DirtyRuns& scan) {
  const std::uint64_t start = first & ~(size_of(level + 1) - 1);
  const std::size_t last_index = index_in(last, level);
  const std::span<std::uint64_t> entries = words(table);
  const auto touch = [&] {
    memory_.touch_tables(hw::PhysicalMemory::Tables::kShared, schedule::Touch::How::kUpdate);
  };
  touch();
  // A walk may set a bit meanwhile.
  const auto load = [&](std::size_t at) { return schedule::MemoryWord(entries[at]).load(); };
  constexpr std::size_t kAtOnce = 8;
  for (std::size_t index = index_in(first, level); index <= last_index; ++index) {
    if (!table.children && index % kAtOnce == 0)
      while (index + kAtOnce - 1 <= last_index) {
        std::uint64_t any = 0;
        for (std::size_t i = 0; i < kAtOnce; ++i) any |= load(index + i);
        if ((any & kDirty) != 0) break;
        index += kAtOnce;
      }
    if (index > last_index) return;
    const std::uint64_t base = start + index * size_of(level);
    const std::uint64_t from = std::max(first, base);
    const std::uint64_t to = std::min(last, base + (size_of(level) - 1));
    if (table.children && (*table.children)[index])
      scan_dirty(*(*table.children)[index], level - 1, from, to, scan);
    else if ((load(index) & kDirty) != 0) {
      if (scan.dirty(from, to)) schedule::MemoryWord(entries[index]).clear_bits(kDirty);
      touch();  // the visitor may have let others go on
    }
  }
}

bool PageTable::read_dirty(Iova iova, std::uint64_t length, iommu::DirtyTracking::Clear clear,
                           iommu::DirtyTracking::Visitor& visitor) {
  if (length == 0 || raw(iova) > kLastIova) return false;
  const std::uint64_t last = raw(iova) + std::min(length - 1, kLastIova - raw(iova));
  iommu::DirtyRuns scan(clear, visitor);
  scan_dirty(top_, kLevels - 1, raw(iova), last, scan);
  return scan.cleared();
}

std::optional<Hpa> PageTable::translate(Iova iova) const {
  if (raw(iova) > kLastIova) return std::nullopt;
  const Table* table = &top_;
  for (unsigned level = kLevels - 1;; --level) {
    const std::size_t index = index_in(raw(iova), level);
    if (table->children && (*table->children)[index]) {
      table = (*table->children)[index].get();
      continue;
    }
    const std::uint64_t leaf = entry(*table, index);
    if (leaf == 0) return std::nullopt;
    return Hpa{(leaf & kAddressMask) + (raw(iova) & (size_of(level) - 1))};
  }
}

}  // namespace teeio::vtd
