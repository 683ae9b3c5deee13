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
constexpr unsigned kIndexBits = 7;
constexpr unsigned kQuarterBits = 2;
constexpr unsigned kLevelBits = kIndexBits + kQuarterBits;
// As an entry lies in memory.
constexpr std::uint64_t kTypeData = 1U << 1U;
constexpr std::uint64_t kMapped = 1U << 3U;
constexpr std::uint64_t kNodePresent = 1U << 11U;

/// Whether `entries` has a key of `level` in the span of `prefix`, which is `bits` shorter.
template <class Map>
bool has_key_in(const Map& entries, unsigned level, std::uint64_t prefix, unsigned bits) {
  const auto number = static_cast<std::uint8_t>(level);
  const Mmiomt::Key* const first = entries.next_key({number, prefix << bits});
  return first != nullptr && first->level == number && first->prefix >> bits == prefix;
}

bool has_child(const Mmiomt& t, const Mmiomt::Key& table) {
  const unsigned below = table.level - 1U;
  const unsigned root = table.level == kMmiomtLevels ? kIndexBits : 0;  // prefix 0: all of them
  return has_key_in(t.tables, below, table.prefix, kLevelBits + root) ||
         has_key_in(t.data, below, table.prefix, kIndexBits + root);
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

Checked<void> mmiomt_walk(Leaf& leaf, Hpa address, unsigned level) {
  const Mmiomt& t = leaf.s.mmiomt;
  for (unsigned at = kMmiomtLevels; at > level; --at) {
    const auto table = t.tables.find(mmiomt_table(address, static_cast<std::uint8_t>(at)));
    if (table == t.tables.end()) return leaf.refuse("mmiomt");
    TDX_TRY(leaf.pass(table->second, "mmiomt_table", Operand::kRcx));
  }
  return {};
}

Checked<void> mmiomt_lock(Leaf& leaf, Hpa address, unsigned level) {
  TDX_TRY(mmiomt_walk(leaf, address, level));
  return leaf.take(leaf.s.mmiomt.locks[mmiomt_entry_key(address, static_cast<Level>(level))],
                   "mmiomt_entry", Operand::kRcx);
}

Checked<MmiomtEntry*> mmiomt_entry(Leaf& leaf, Hpa address, Level level) {
  TDX_TRY(mmiomt_lock(leaf, address, static_cast<unsigned>(level)));
  Mmiomt& t = leaf.s.mmiomt;
  const auto at = t.data.find(mmiomt_entry_key(address, level));
  return at == t.data.end() ? nullptr : &at->second;
}

LeafResult Module::tdh_mmiomt_add(Hpa address, std::uint8_t level, Hpa page) {
  Leaf leaf(*state_, row::kMmiomtAdd);
  TDX_TRY(leaf.may_fail());
  TDX_TRY(index(leaf, address, level));
  TDX_TRY(leaf.free_page(page, Operand::kRdx));
  Mmiomt& t = leaf.s.mmiomt;
  TDX_TRY(mmiomt_lock(leaf, address, level));
  const Mmiomt::Key key = mmiomt_table(address, level);
  if (t.tables.contains(key) || t.data.contains(mmiomt_entry_key(address, Level{level})))
    return leaf.refuse("present");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kMmiomt, Hpa{0}, hw::KeyId{kModuleKey});
  t.tables[key] = page;
  return {};
}

LeafResult Module::tdh_mmiomt_remove(Hpa address, std::uint8_t level) {
  Leaf leaf(*state_, row::kMmiomtRemove);
  TDX_TRY(leaf.may_fail());
  TDX_TRY(index(leaf, address, level));
  Mmiomt& t = leaf.s.mmiomt;
  TDX_TRY(mmiomt_lock(leaf, address, level));
  const Mmiomt::Key key = mmiomt_table(address, level);
  const auto table = t.tables.find(key);
  if (table == t.tables.end()) return leaf.refuse("table");
  const Hpa page = table->second;
  TDX_TRY(leaf.take_page_of(page, "busy", Operand::kRcx));
  if (has_child(t, key)) return leaf.refuse("empty");
  leaf.give_way();
  leaf.s.release_page(page);
  t.tables.erase(key);
  return {.status = {}, .rcx = raw(page) >> kPageShift};
}

LeafResult Module::tdh_mmiomt_set(Hpa address, Level level, std::optional<FunctionId> owner) {
  Leaf leaf(*state_, row::kMmiomtSet,
            {.function = owner ? std::optional(bdf_of(*owner)) : std::nullopt});
  TDX_TRY(leaf.may_fail());
  if (level > Level::k1G || !fits(address) || raw(address) % level_bytes(level) != 0)
    return leaf.refuse("index");
  TDX_ASSIGN(const MmiomtEntry* const entry, mmiomt_entry(leaf, address, level));
  const Mmiomt::Key key = mmiomt_entry_key(address, level);
  if (!owner) {
    if (entry == nullptr || entry->mapped) return leaf.refuse("data");
    leaf.give_way();
    leaf.s.mmiomt.data.erase(key);
    return {};
  }
  if (static_cast<std::uint32_t>(*owner) == 0) return leaf.refuse("owner");
  if (entry != nullptr || has_key_in(leaf.s.mmiomt.tables, key.level, key.prefix, kQuarterBits))
    return leaf.refuse("used");
  TDX_TRY(leaf.devif(*owner, Operand::kRdx));
  leaf.give_way();
  leaf.s.mmiomt.data[key] = {.owner = *owner, .mapped = false};
  return {};
}

LeafResult Module::tdh_mmiomt_rd(Hpa address, std::uint8_t level) {
  Leaf leaf(*state_, row::kMmiomtRd);
  TDX_TRY(leaf.may_fail());
  if (level > kMmiomtLevels || !fits(address)) return leaf.refuse("index");
  TDX_TRY(mmiomt_walk(leaf, address, level));
  const Mmiomt& t = leaf.s.mmiomt;
  const Mmiomt::Key key = mmiomt_entry_key(address, Level{level});
  const auto lock = t.locks.find(key);
  const std::uint64_t locked = lock != t.locks.end() && lock->second.taken() ? 1U : 0U;
  if (const auto data = t.data.find(key); data != t.data.end()) {
    const MmiomtEntry& entry = data->second;
    const std::uint64_t first = locked | kTypeData | (entry.mapped ? kMapped : 0U) |
                                std::uint64_t{static_cast<std::uint32_t>(entry.owner)} << 12U;
    return {.status = {}, .rcx = first, .rdx = entry.bepoch};
  }
  const auto node = [&](std::uint64_t quarter) -> std::uint64_t {
    const bool root = level == kMmiomtLevels;
    if (level == 0 || (root && quarter != 0)) return 0;
    const auto table = t.tables.find({level, root ? 0 : key.prefix << kQuarterBits | quarter});
    return table == t.tables.end() ? 0 : raw(table->second) | kNodePresent;
  };
  return {.status = {}, .rcx = node(0) | locked, .rdx = node(1), .r8 = node(2), .r9 = node(3)};
}

}  // namespace teeio::tdx
