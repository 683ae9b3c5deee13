#include "host/iommu/amd/page_table.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"
#include "hw/amd_iommu/registers.h"

namespace teeio::amdvi {
namespace {

using namespace hw::amd;

constexpr unsigned kLargestPage = 51;
constexpr unsigned kMissingPage = 39;

/// log2 of the bytes that one entry of a level covers.
constexpr unsigned shift_of(unsigned level) { return kPageShift + 9 * level; }
constexpr std::uint64_t size_of(unsigned level) { return std::uint64_t{1} << shift_of(level); }
constexpr std::size_t index_in(std::uint64_t iova, unsigned level) {
  return static_cast<std::size_t>(iova >> shift_of(level) & 0x1ffU);
}
/// Whether a table of `level` covers `iova` from its own start, 0.
constexpr bool covers(unsigned level, std::uint64_t iova) {
  return shift_of(level) + 9 >= 64 || iova >> (shift_of(level) + 9) == 0;
}
constexpr unsigned level_of(unsigned size_lg2) { return (size_lg2 - kPageShift) / 9; }

/// The largest page that may begin here.
unsigned best_size(std::uint64_t addresses, std::uint64_t length, unsigned top_level) {
  unsigned lg2 = static_cast<unsigned>(std::bit_width(length)) - 1;
  if (addresses != 0) lg2 = std::min(lg2, static_cast<unsigned>(std::countr_zero(addresses)));
  lg2 = std::min({lg2, kLargestPage, shift_of(std::min(top_level, PageTable::kTopLevel - 1)) + 8});
  return lg2 == kMissingPage ? kMissingPage - 1 : lg2;
}

std::uint64_t rights_of(Prot prot) {
  const unsigned access = std::to_underlying(prot);
  return ((access & std::to_underlying(Prot::kRead)) != 0 ? kPteRead : 0) |
         ((access & std::to_underlying(Prot::kWrite)) != 0 ? kPteWrite : 0);
}

/// amdv1pt_install_leaf_entry().
std::uint64_t leaf(Hpa hpa, unsigned size_lg2, Prot prot) {
  const std::uint64_t common = raw(hpa) | kPtePresent | kPteForceCoherent | rights_of(prot);
  if ((size_lg2 - kPageShift) % 9 == 0) return common;
  const std::uint64_t ones = ((std::uint64_t{1} << (size_lg2 - 1)) - 1) & ~(kPageSize - 1);
  return common | ones | std::uint64_t{kNextLevelSized} << kPteNextLevel;
}

/// log2 of the size of the page that an entry of a level says.
unsigned size_in(std::uint64_t entry, unsigned level) {
  if ((entry >> kPteNextLevel & 7U) != kNextLevelSized) return shift_of(level);
  return kPageShift +
         static_cast<unsigned>(std::countr_one((entry & kAddressField) >> kPageShift)) + 1;
}

}  // namespace

Result<std::unique_ptr<PageTable>> PageTable::create(hw::PhysicalMemory& memory) {
  auto table = std::unique_ptr<PageTable>(new PageTable(memory));
  TEEIO_ASSIGN(table->top_, table->make_table(table->top_level_));
  return table;
}

PageTable::~PageTable() {
  if (top_) free_tree(*top_);
}

Result<std::unique_ptr<PageTable::Table>> PageTable::make_table(unsigned level) {
  auto table = std::make_unique<Table>();
  TEEIO_ASSIGN(table->frame, memory_.alloc_page());
  if (level != 0) table->children = std::make_unique<std::array<std::unique_ptr<Table>, 512>>();
  return table;
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

Result<bool> PageTable::grow(Iova last) {
  bool grew = false;
  while (!covers(top_level_, raw(last))) {
    TEEIO_ASSIGN(std::unique_ptr<Table> top, make_table(top_level_ + 1));
    set_entry(*top, 0,
              raw(top_->frame) | std::uint64_t{top_level_ + 1} << kPteNextLevel | kPtePresent |
                  kPteRead | kPteWrite);
    ++top->live;
    (*top->children)[0] = std::move(top_);
    top_ = std::move(top);
    ++top_level_;
    grew = true;
  }
  return grew;
}

Result<PageTable::Table*> PageTable::child_of(Table& table, std::size_t index,
                                              unsigned child_level) {
  std::unique_ptr<Table>& slot = (*table.children)[index];
  if (slot) return slot.get();
  TEEIO_ASSIGN(slot, make_table(child_level));
  // amdv1pt_install_table(): the next level is counted from 1, and rights are the page's.
  set_entry(table, index,
            raw(slot->frame) | std::uint64_t{child_level + 1} << kPteNextLevel | kPtePresent |
                kPteRead | kPteWrite);
  ++table.live;
  return slot.get();
}

Result<void> PageTable::map_page(Iova iova, Hpa hpa, unsigned size_lg2, Prot prot) {
  const unsigned leaf_level = level_of(size_lg2);
  Table* table = top_.get();
  for (unsigned level = top_level_; level != leaf_level; --level) {
    TEEIO_ASSIGN(table, child_of(*table, index_in(raw(iova), level), level - 1));
  }
  // A page larger than what one entry covers is in as many entries, all the same.
  const std::size_t count = std::size_t{1} << (size_lg2 - shift_of(leaf_level));
  const std::size_t first = index_in(raw(iova), leaf_level);
  for (std::size_t index = first; index < first + count; ++index) {
    TEEIO_CHECK(entry(*table, index) == 0, "an IOVA is mapped twice in one domain");
    set_entry(*table, index, leaf(hpa, size_lg2, prot));
  }
  table->live = static_cast<std::uint16_t>(table->live + count);
  return {};
}

Result<void> PageTable::map(Iova iova, Hpa hpa, std::uint64_t length, Prot prot) {
  TEEIO_CHECK(is_page_aligned(raw(iova) | raw(hpa) | length) && length != 0,
              "a domain maps whole pages");
  TEEIO_CHECK(length - 1 <= kLastIova - raw(iova) && covers(top_level_, raw(iova) + (length - 1)),
              "an IOVA lies above the domain's table");
  while (length != 0) {
    const unsigned size_lg2 = best_size(raw(iova) | raw(hpa), length, top_level_);
    TEEIO_TRY(map_page(iova, hpa, size_lg2, prot));
    iova = iova + (std::uint64_t{1} << size_lg2);
    hpa = hpa + (std::uint64_t{1} << size_lg2);
    length -= std::uint64_t{1} << size_lg2;
  }
  return {};
}

std::uint64_t PageTable::unmap_in(Table& table, unsigned level, std::uint64_t first,
                                  std::uint64_t last, std::vector<Hpa>& freed) {
  std::uint64_t unmapped = 0;
  const std::uint64_t start = level == kTopLevel ? 0 : first & ~(size_of(level + 1) - 1);
  const std::size_t last_index = index_in(last, level);
  for (std::size_t index = index_in(first, level); index <= last_index;) {
    const std::uint64_t base = start + index * size_of(level);
    const std::uint64_t from = std::max(first, base);
    std::size_t count = 1;
    if (table.children && (*table.children)[index]) {
      const std::uint64_t to = std::min(last, base + (size_of(level) - 1));
      std::unique_ptr<Table>& child = (*table.children)[index];
      unmapped += unmap_in(*child, level - 1, from, to, freed);
      if (child->live == 0) {
        freed.push_back(child->frame);
        child.reset();
        set_entry(table, index, 0);
        --table.live;
      }
    } else if (const std::uint64_t page = entry(table, index); page != 0) {
      const unsigned size_lg2 = size_in(page, level);
      count = std::size_t{1} << (size_lg2 - shift_of(level));
      const std::uint64_t size = std::uint64_t{1} << size_lg2;
      TEEIO_CHECK(index % count == 0 && from == base && last - base >= size - 1,
                  "an unmap cuts a large page");
      for (std::size_t i = 0; i < count; ++i) set_entry(table, index + i, 0);
      table.live = static_cast<std::uint16_t>(table.live - count);
      unmapped += size;
    }
    index += count;
  }
  return unmapped;
}

std::uint64_t PageTable::unmap(Iova iova, std::uint64_t length, std::vector<Hpa>& freed) {
  TEEIO_CHECK(is_page_aligned(raw(iova) | length) && length != 0, "a domain unmaps whole pages");
  const std::uint64_t last = raw(iova) + (length - 1);
  if (!covers(top_level_, raw(iova))) return 0;
  const std::uint64_t end =
      covers(top_level_, last) ? last : (std::uint64_t{1} << (shift_of(top_level_) + 9)) - 1;
  return unmap_in(*top_, top_level_, raw(iova), end, freed);
}

void PageTable::clear_dirty(Table& table, std::size_t index) {
  const Hpa at = table.frame + 8 * index;
  std::uint64_t value = entry(table, index);
  for (;;) {
    const auto done = memory_.compare_exchange_u64(at, value, value & ~kPteDirty);
    TEEIO_CHECK(done.has_value(), "an IOMMU table lies outside of memory");
    if (*done) return;
  }
}

void PageTable::scan_dirty(Table& table, unsigned level, std::uint64_t first, std::uint64_t last,
                           iommu::DirtyRuns& scan) {
  const std::uint64_t start = level == kTopLevel ? 0 : first & ~(size_of(level + 1) - 1);
  const std::size_t last_index = index_in(last, level);
  for (std::size_t index = index_in(first, level); index <= last_index;) {
    const std::uint64_t base = start + index * size_of(level);
    if (table.children && (*table.children)[index]) {
      scan_dirty(*(*table.children)[index], level - 1, std::max(first, base),
                 std::min(last, base + (size_of(level) - 1)), scan);
      ++index;
      continue;
    }
    const std::uint64_t page = entry(table, index);
    if (page == 0) {
      ++index;
      continue;
    }
    const std::size_t count = std::size_t{1} << (size_in(page, level) - shift_of(level));
    const std::size_t head = index & ~(count - 1);
    // Each time anew: the visitor may have let others go on.
    memory_.touch_tables(hw::PhysicalMemory::Tables::kShared, schedule::Touch::How::kUpdate);
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < count; ++i) any |= entry(table, head + i);
    const std::uint64_t begin = start + head * size_of(level);
    const std::uint64_t end = begin + (count * size_of(level) - 1);
    if ((any & kPteDirty) != 0 && scan.dirty(std::max(first, begin), std::min(last, end))) {
      memory_.touch_tables(hw::PhysicalMemory::Tables::kShared, schedule::Touch::How::kUpdate);
      for (std::size_t i = 0; i < count; ++i) clear_dirty(table, head + i);
    }
    index = head + count;
  }
}

bool PageTable::read_dirty(Iova iova, std::uint64_t length, iommu::DirtyTracking::Clear clear,
                           iommu::DirtyTracking::Visitor& visitor) {
  if (length == 0 || !covers(top_level_, raw(iova))) return false;
  const std::uint64_t last = raw(iova) + (length - 1);
  const std::uint64_t end =
      covers(top_level_, last) ? last : (std::uint64_t{1} << (shift_of(top_level_) + 9)) - 1;
  iommu::DirtyRuns scan(clear, visitor);
  scan_dirty(*top_, top_level_, raw(iova), end, scan);
  return scan.cleared();
}

std::optional<Hpa> PageTable::translate(Iova iova) const {
  if (!covers(top_level_, raw(iova))) return std::nullopt;
  const Table* table = top_.get();
  for (unsigned level = top_level_;; --level) {
    const std::size_t index = index_in(raw(iova), level);
    if (table->children && (*table->children)[index]) {
      table = (*table->children)[index].get();
      continue;
    }
    const std::uint64_t found = entry(*table, index);
    if (found == 0) return std::nullopt;
    const std::uint64_t below = (std::uint64_t{1} << size_in(found, level)) - 1;
    return Hpa{(found & kAddressField & ~below) | (raw(iova) & below)};
  }
}

}  // namespace teeio::amdvi
