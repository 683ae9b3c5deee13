#include "firmware/tdx/mmiomt.h"

#include "firmware/tdx/leaf.h"

// Who owns which page of MMIO: MMIOMT.

namespace teeio::tdx {
namespace {

bool fits(Hpa address) { return raw(address) >> 52U == 0; }

Checked<void> index(Leaf& leaf, Hpa address, std::uint8_t level) {
  if (level < 1 || level > kMmiomtLevels || !fits(address))
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "bad MMIOMT index");
  return {};
}

/// Whether `entries` has a key among those right below `table`.
template <class Map>
bool has_key_below(const Map& entries, const Mmiomt::Key& table) {
  const auto below = static_cast<std::uint8_t>(table.level - 1);
  const auto first = entries.lower_bound(Mmiomt::Key{below, table.prefix << 9U});
  return first != entries.end() && first->first.level == below &&
         first->first.prefix >> 9U == table.prefix;
}

bool has_child(const Mmiomt& t, const Mmiomt::Key& table) {
  return has_key_below(t.tables, table) || has_key_below(t.data, table);
}

}  // namespace

Mmiomt::Key mmiomt_key(Hpa address, std::uint8_t level) {
  return {level, raw(address) >> (12U + 9U * level)};
}

Checked<MmiomtEntry*> mmiomt_entry(Leaf& leaf, Hpa address, Level level, Operand operand) {
  const auto number = static_cast<std::uint8_t>(level);
  if (level > Level::k1G || !fits(address) || raw(address) % level_bytes(level) != 0)
    return leaf.refuse(Code::kOperandInvalid, operand, "bad MMIOMT index");
  Mmiomt& t = leaf.s.mmiomt;
  if (!t.tables.contains(mmiomt_key(address, static_cast<std::uint8_t>(number + 1))))
    return leaf.refuse(Code::kMmiomtNotPresent, operand, "MMIOMT has no table for the address");
  const auto at = t.data.find(mmiomt_key(address, number));
  return at == t.data.end() ? nullptr : &at->second;
}

LeafResult Module::tdh_mmiomt_add(Hpa address, std::uint8_t level, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MMIOMT.ADD"));
  TDX_TRY(leaf.extension());
  TDX_TRY(index(leaf, address, level));
  TDX_TRY(leaf.free_page(page, Operand::kRdx));
  Mmiomt& t = leaf.s.mmiomt;
  if (level != kMmiomtLevels &&
      !t.tables.contains(mmiomt_key(address, static_cast<std::uint8_t>(level + 1))))
    return leaf.refuse(Code::kMmiomtNotPresent, Operand::kRcx, "the table above is missing");
  const Mmiomt::Key key = mmiomt_key(address, level);
  if (t.tables.contains(key) || t.data.contains(key))
    return leaf.refuse(Code::kMmioInvalidPageMetadata, Operand::kRcx, "the entry above is in use");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kMmiomt, Hpa{0}, hw::KeyId{kModuleKey});
  t.tables[key] = page;
  return {};
}

LeafResult Module::tdh_mmiomt_remove(Hpa address, std::uint8_t level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MMIOMT.REMOVE"));
  TDX_TRY(leaf.extension());
  TDX_TRY(index(leaf, address, level));
  Mmiomt& t = leaf.s.mmiomt;
  if (level != kMmiomtLevels &&
      !t.tables.contains(mmiomt_key(address, static_cast<std::uint8_t>(level + 1))))
    return leaf.refuse(Code::kMmiomtNotPresent, Operand::kRcx, "the table above is missing");
  const Mmiomt::Key key = mmiomt_key(address, level);
  const auto table = t.tables.find(key);
  if (table == t.tables.end() || has_child(t, key))
    return leaf.refuse(Code::kMmioInvalidPageMetadata, Operand::kRcx,
                       "no table, or it has entries");
  const Hpa page = table->second;
  TDX_TRY(leaf.take(leaf.s.pamt.entry(page).lock, Operand::kPamt));
  leaf.give_way();
  leaf.s.release_page(page);
  t.tables.erase(key);
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_mmiomt_set(Hpa address, Level level, std::optional<FunctionId> owner) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MMIOMT.SET"),
            {.function = owner ? std::optional(bdf_of(*owner)) : std::nullopt});
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(const MmiomtEntry* const entry, mmiomt_entry(leaf, address, level, Operand::kRcx));
  const Mmiomt::Key key = mmiomt_key(address, static_cast<std::uint8_t>(level));
  if (!owner) {
    if (entry == nullptr || entry->mapped)
      return leaf.refuse(Code::kMmioInvalidPageMetadata, Operand::kRcx,
                         "the entry names no function, or is mapped");
    leaf.give_way();
    leaf.s.mmiomt.data.erase(key);
    return {};
  }
  if (static_cast<std::uint32_t>(*owner) == 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "DATA needs a function");
  if (entry != nullptr || leaf.s.mmiomt.tables.contains(key))
    return leaf.refuse(Code::kMmioInvalidPageMetadata, Operand::kRcx, "the entry is in use");
  TDX_TRY(leaf.devif(*owner, Operand::kRdx));
  leaf.give_way();
  leaf.s.mmiomt.data[key] = {.owner = *owner, .mapped = false};
  return {};
}

LeafResult Module::tdh_mmiomt_rd(Hpa address, Level level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MMIOMT.RD"));
  TDX_TRY(leaf.extension());
  TDX_ASSIGN(const MmiomtEntry* const entry, mmiomt_entry(leaf, address, level, Operand::kRcx));
  if (entry == nullptr) return {};
  return {.status = {},
          .rcx = static_cast<std::uint32_t>(entry->owner),
          .rdx = 1U | (entry->mapped ? 2U : 0U)};
}

}  // namespace teeio::tdx
