#include "firmware/tdx/mmiomt.h"

#include "firmware/tdx/leaf.h"

// Who owns which page of MMIO: MMIOMT. Source: intel/tdx-module, branch tdxio,
// src/common/data_structures/tdxio/mmiomt_defs.h and src/common/tdxio/mmiomt.c.

namespace teeio::tdx {
namespace {

bool fits(Hpa address) { return raw(address) >> 52U == 0; }

Checked<void> index(Leaf& leaf, Hpa address, std::uint8_t level) {
  if (level < 1 || level > kMmiomtLevels || !fits(address)) return leaf.refuse("index");
  return {};
}

// A table page has 128 entries of 32 bytes, each for as much as an S-EPT entry of its level;
// an entry that is no DATA points to the four tables of its quarters.
constexpr unsigned kIndexBits = MmiomtTable::kIndexBits;
constexpr unsigned kQuarterBits = 2;
constexpr unsigned kLevelBits = kIndexBits + kQuarterBits;
// As an entry lies in memory.
constexpr std::uint64_t kTypeData = 1U << 1U;
constexpr std::uint64_t kMapped = 1U << 3U;
constexpr std::uint64_t kNodePresent = 1U << 11U;

/// The table of an entry's quarter; of the root's entry there is one.
const MmiomtTable* quarter(const Mmiomt& t, const Mmiomt::Key& entry, std::uint64_t number) {
  if (entry.level == 0) return nullptr;
  if (entry.level == kMmiomtLevels) return number == 0 ? t.tables.find({entry.level, 0}) : nullptr;
  return t.tables.find({entry.level, entry.prefix << kQuarterBits | number});
}

bool has_tables(const Mmiomt& t, const Mmiomt::Key& entry) {
  for (std::uint64_t number = 0; number < 1U << kQuarterBits; ++number)
    if (quarter(t, entry, number) != nullptr) return true;
  return false;
}

/// The entry in `table`, unrecorded.
MmiomtSlot& slot_in(Mmiomt& t, MmiomtTable* table, const Mmiomt::Key& entry) {
  if (table == nullptr) return t.root;
  return table->slots.at(entry.prefix % table->slots.size());
}

void count_children(MmiomtTable* table, int children) {
  if (table != nullptr) table->children += static_cast<std::uint32_t>(children);
}

}  // namespace

Mmiomt::Key mmiomt_table(Hpa address, std::uint8_t level) {
  if (level == kMmiomtLevels) return {level, 0};
  return {level, raw(address) >> (kPageShift + kLevelBits * level - kQuarterBits)};
}

Mmiomt::Key mmiomt_entry_key(Hpa address, Level level) {
  const auto number = static_cast<std::uint8_t>(level);
  return {number, raw(address) >> (kPageShift + kLevelBits * number)};
}

Checked<MmiomtTable*> mmiomt_walk(Leaf& leaf, Hpa address, unsigned level) {
  Mmiomt& t = leaf.s.mmiomt;
  MmiomtTable* table = nullptr;
  for (unsigned at = kMmiomtLevels; at > level; --at) {
    table = t.tables.find_to_read(mmiomt_table(address, static_cast<std::uint8_t>(at)));
    if (table == nullptr) return leaf.refuse("mmiomt");
    TDX_TRY(leaf.pass(table->page, "mmiomt_table", Operand::kRcx));
  }
  return table;
}

Checked<MmiomtPlace> mmiomt_lock(Leaf& leaf, Hpa address, unsigned level) {
  TDX_ASSIGN(MmiomtTable* const table, mmiomt_walk(leaf, address, level));
  Mmiomt& t = leaf.s.mmiomt;
  const Mmiomt::Key key = mmiomt_entry_key(address, static_cast<Level>(level));
  t.slots.touch(part_key(key), schedule::Touch::How::kWrite);
  MmiomtSlot& slot = slot_in(t, table, key);
  TDX_TRY(leaf.take(slot.lock, "mmiomt_entry", Operand::kRcx));
  return MmiomtPlace{.table = table, .slot = &slot};
}

MmiomtSlot& mmiomt_slot(State& s, Hpa address, Level level) {
  Mmiomt& t = s.mmiomt;
  const Mmiomt::Key key = mmiomt_entry_key(address, level);
  t.slots.touch(part_key(key), schedule::Touch::How::kWrite);
  if (key.level == kMmiomtLevels) return t.root;
  const auto above = static_cast<std::uint8_t>(key.level + 1);
  return slot_in(t, &t.tables.unrecorded(mmiomt_table(address, above)), key);
}

LeafResult Module::tdh_mmiomt_add(Hpa address, std::uint8_t level, Hpa page) {
  Leaf leaf(*state_, row::kMmiomtAdd);
  TDX_TRY(leaf.may_fail());
  TDX_TRY(index(leaf, address, level));
  TDX_TRY(leaf.free_page(page, Operand::kRdx));
  Mmiomt& t = leaf.s.mmiomt;
  TDX_ASSIGN(const MmiomtPlace place, mmiomt_lock(leaf, address, level));
  const Mmiomt::Key key = mmiomt_table(address, level);
  if (t.tables.contains(key) || place.slot->data) return leaf.refuse("present");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kMmiomt, Hpa{0}, hw::KeyId{kModuleKey});
  t.tables[key].page = page;
  count_children(place.table, 1);
  return {};
}

LeafResult Module::tdh_mmiomt_remove(Hpa address, std::uint8_t level) {
  Leaf leaf(*state_, row::kMmiomtRemove);
  TDX_TRY(leaf.may_fail());
  TDX_TRY(index(leaf, address, level));
  Mmiomt& t = leaf.s.mmiomt;
  TDX_ASSIGN(const MmiomtPlace place, mmiomt_lock(leaf, address, level));
  const Mmiomt::Key key = mmiomt_table(address, level);
  const MmiomtTable* const table = t.tables.find(key);
  if (table == nullptr) return leaf.refuse("table");
  const Hpa page = table->page;
  TDX_TRY(leaf.take_page_of(page, "busy", Operand::kRcx));
  if (table->children != 0) return leaf.refuse("empty");
  leaf.give_way();
  leaf.s.release_page(page);
  t.tables.erase(key);
  count_children(place.table, -1);
  return {.status = {}, .rcx = raw(page) >> kPageShift};
}

LeafResult Module::tdh_mmiomt_set(Hpa address, Level level, std::optional<FunctionId> owner) {
  Leaf leaf(*state_, row::kMmiomtSet,
            {.function = owner ? std::optional(bdf_of(*owner)) : std::nullopt});
  TDX_TRY(leaf.may_fail());
  if (level > Level::k1G || !fits(address) || raw(address) % level_bytes(level) != 0)
    return leaf.refuse("index");
  TDX_ASSIGN(const MmiomtPlace place, mmiomt_lock(leaf, address, static_cast<unsigned>(level)));
  std::optional<MmiomtEntry>& entry = place.slot->data;
  if (!owner) {
    if (!entry || entry->mapped) return leaf.refuse("data");
    leaf.give_way();
    entry.reset();
    count_children(place.table, -1);
    return {};
  }
  if (static_cast<std::uint32_t>(*owner) == 0) return leaf.refuse("owner");
  if (entry || has_tables(leaf.s.mmiomt, mmiomt_entry_key(address, level)))
    return leaf.refuse("used");
  TDX_TRY(leaf.devif(*owner, Operand::kRdx));
  leaf.give_way();
  entry = {.owner = *owner, .mapped = false};
  count_children(place.table, 1);
  return {};
}

LeafResult Module::tdh_mmiomt_rd(Hpa address, std::uint8_t level) {
  Leaf leaf(*state_, row::kMmiomtRd);
  TDX_TRY(leaf.may_fail());
  if (level > kMmiomtLevels || !fits(address)) return leaf.refuse("index");
  TDX_ASSIGN(MmiomtTable* const table, mmiomt_walk(leaf, address, level));
  Mmiomt& t = leaf.s.mmiomt;
  const Mmiomt::Key key = mmiomt_entry_key(address, Level{level});
  t.slots.touch(part_key(key), schedule::Touch::How::kRead);
  const MmiomtSlot& slot = slot_in(t, table, key);
  const std::uint64_t locked = slot.lock.taken() ? 1U : 0U;
  if (slot.data) {
    const MmiomtEntry& entry = *slot.data;
    const std::uint64_t first = locked | kTypeData | (entry.mapped ? kMapped : 0U) |
                                std::uint64_t{static_cast<std::uint32_t>(entry.owner)} << 12U;
    return {.status = {}, .rcx = first, .rdx = entry.bepoch};
  }
  const auto node = [&](std::uint64_t number) -> std::uint64_t {
    const MmiomtTable* const below = quarter(t, key, number);
    return below == nullptr ? 0 : raw(below->page) | kNodePresent;
  };
  return {.status = {}, .rcx = node(0) | locked, .rdx = node(1), .r8 = node(2), .r9 = node(3)};
}

}  // namespace teeio::tdx
