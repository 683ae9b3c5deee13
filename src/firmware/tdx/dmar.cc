#include <utility>

#include "base/check.h"
#include "firmware/tdx/dmar_index.h"
#include "firmware/tdx/leaf.h"

// The trusted DMA tables, in frames that the host donates; layouts in hw/vtd/vtd_iommu.h.

namespace teeio::tdx {
namespace {

constexpr std::uint32_t kPasidBits = 20;

DmarIndex parent_of(DmarIndex index) {
  index.level = static_cast<DmarLevel>(static_cast<std::uint8_t>(index.level) + 1);
  return index;
}

/// Where an entry lies in the table above it.
Hpa place_in(Hpa table, const DmarIndex& index) {
  const std::uint64_t bus = index.rid >> 8U;
  const std::uint64_t devfn = index.rid & 0xffU;
  switch (index.level) {
    case DmarLevel::kRoot:
      return table + bus * 16 + (devfn >> 7U) * 8;
    case DmarLevel::kContext:
      return table + (devfn & 0x7fU) * 32;
    case DmarLevel::kDirectory:
      return table + std::uint64_t{index.pasid >> 6U} * 8;
    case DmarLevel::kPasid:
      return table + std::uint64_t{index.pasid & 63U} * 64;
  }
  std::unreachable();
}

DmarEntry* find(State& s, const DmarIndex& index) {
  const auto at = s.dmar.find(dmar_key(index));
  return at == s.dmar.end() ? nullptr : &at->second;
}

DmarEntry* parent_entry(State& s, const DmarIndex& index) {
  return index.level == DmarLevel::kRoot ? nullptr : find(s, parent_of(index));
}

Bdf function_of(const DmarIndex& index) { return Bdf::from_rid(index.rid); }

/// The gates of an accepted PASIDTE, and its counters' way down.
/// Source: dmar.c, dmar_pasidte_remove().
Checked<void> check_accepted(Leaf& leaf, const DmarIndex& index, const DmarEntry& entry) {
  TDX_ASSIGN(Td* const td, leaf.any_td(entry.tdr, Operand::kTdr, Leaf::Hold::kShared));
  TDX_TRY(leaf.share(td->epoch_lock, "epoch", Operand::kTdEpoch));
  if (td->prev_iotlb_cnt != 0 && td->iommus[index.iommu].pasidte_ref_cnt != 0)
    return leaf.refuse("iotlb");
  TDX_TRY(leaf.devif(FunctionId{index.rid}, Operand::kRcx));
  return {};
}

void forget_accepted(State& s, const DmarIndex& index, const DmarEntry& entry) {
  Td& td = *s.find_td(entry.tdr);
  TdIommu& part = td.iommus[index.iommu];
  if (--part.pasidte_ref_cnt == 0) {
    --td.curr_iotlb_cnt;
    s.iommus[index.iommu].iommu->set_domain_key(hw::TBit::kTrusted, td.domain(),
                                                hw::KeyId::kShared);
  }
  s.find_devif(FunctionId{index.rid})->dmar_mapped = false;
}

constexpr Operand kValueOperands[] = {Operand::kRdx, Operand::kR8,  Operand::kR9,  Operand::kR10,
                                      Operand::kR11, Operand::kR12, Operand::kR13, Operand::kR14};

/// Quadwords that the entry has not. Source: tdh_dmar_add.c, is_valid_dmar_add_entry().
Checked<void> check_unused(Leaf& leaf, DmarLevel level, const DmarValue& value) {
  for (std::size_t i = quadwords_of(level); i < value.size(); ++i)
    if (value.at(i) != 0) return leaf.refuse("unused", kValueOperands[i]);
  return {};
}

constexpr std::uint64_t kTablePointer = 0x000f'ffff'ffff'f000U;
constexpr std::uint64_t kFpd = 1U << 1U;  // fault processing disable: free to choose
constexpr std::uint64_t kDirectorySize = 7U << 9U;

/// What a PASIDTE's first quadwords must be, in the bits that they have.
/// Source: dmar.h, is_valid_dmar_pasidte().
bool pasid_quadword_fits(std::size_t i, std::uint64_t value) {
  constexpr DmarValue kWanted = dmar_value(DmarLevel::kPasid, Hpa{0});
  // Address width and A/D bits are set at the accept, whatever they are now.
  constexpr std::uint64_t kFree = kFpd | 7U << 2U | 1U << 9U;
  return i == 0 ? (value & ~kFree) == kWanted[0] : value == kWanted.at(i);
}
/// Source: dmar.h, is_valid_dmar_rte(), ..._cte() and ..._pde().
bool quadword_fits(DmarLevel level, std::size_t i, std::uint64_t value) {
  if (level == DmarLevel::kPasid) return pasid_quadword_fits(i, value);
  if (i != 0) return value == 0;  // rid_pasid 0, nothing privileged, nothing reserved
  std::uint64_t free = kTablePointer;
  if (level != DmarLevel::kRoot) free |= kFpd;
  if (level == DmarLevel::kContext) free |= kDirectorySize;
  return (value & ~free) == kDmarPresent;
}
Checked<void> check_value(Leaf& leaf, DmarLevel level, const DmarValue& value) {
  for (std::size_t i = 0; i < quadwords_of(level); ++i)
    if (!quadword_fits(level, i, value.at(i))) return leaf.refuse("value", kValueOperands[i]);
  return {};
}
/// A page is of 512 directory entries, and a directory has 2^(size + 7).
std::uint32_t pages_of(DmarLevel level, const DmarValue& value) {
  if (level == DmarLevel::kPasid) return 0;
  const unsigned size = level == DmarLevel::kContext ? value[0] >> 9U & 7U : 0;
  return size <= 2 ? 1 : 1U << (size - 2);
}

/// From the second page of a directory on, each may be interrupted; `entry.done` goes on.
Checked<void> page_by_page(Leaf& leaf, DmarEntry& entry, std::string_view interrupted) {
  while (++entry.done < entry.pages)
    if (auto on = leaf.may_be_interrupted(interrupted); !on) return on;
  entry.done = 0;
  return {};
}

void write_value(State& s, DmarLevel level, const DmarEntry& entry, const DmarValue& value) {
  for (std::size_t i = 0; i < quadwords_of(level); ++i)
    dmar_write(s, entry.where + i * 8, value.at(i));
}

}  // namespace

State::DmarKey dmar_key(const DmarIndex& index) {
  const auto level = static_cast<std::uint8_t>(index.level);
  switch (index.level) {
    case DmarLevel::kRoot:
      return {index.iommu, static_cast<std::uint16_t>(index.rid & 0xff80U), 0, level};
    case DmarLevel::kContext:
      return {index.iommu, index.rid, 0, level};
    case DmarLevel::kDirectory:
      return {index.iommu, index.rid, index.pasid & ~63U, level};
    case DmarLevel::kPasid:
      return {index.iommu, index.rid, index.pasid, level};
  }
  std::unreachable();
}

bool dmar_index_fits(const DmarIndex& index) {
  return index.level <= DmarLevel::kRoot && index.pasid >> kPasidBits == 0;
}

Checked<DmarEntry*> dmar_walk(Leaf& leaf, const DmarIndex& index, Operand operand) {
  TDX_TRY(leaf.pass(leaf.s.iommus[index.iommu].root_table, "dmar_table", operand));
  for (auto level = static_cast<std::uint8_t>(DmarLevel::kRoot);
       level > static_cast<std::uint8_t>(index.level); --level) {
    DmarIndex at = index;
    at.level = DmarLevel{level};
    const auto& entries = std::as_const(leaf.s.dmar);
    const auto found = entries.find(dmar_key(at));
    const DmarEntry* const above = found == entries.end() ? nullptr : &found->second;
    if (dmar_state_of(above) != DmarState::kPresent) return leaf.refuse("dmar", operand);
    if (at.level == DmarLevel::kContext && index.pasid != 0) return leaf.refuse("pasid", operand);
    TDX_TRY(leaf.pass(above->table, "dmar_table", operand));
  }
  return find(leaf.s, index);
}

void dmar_write(State& s, Hpa where, std::uint64_t value) {
  const bool written = s.memory.write_u64(where, value, hw::KeyId{kModuleKey}).has_value();
  TEEIO_CHECK(written, "a DMAR table page is RAM with the module's key");
}

/// A directory's pages are the module's from the first call on, also when that was interrupted;
/// the call that goes on must say the same. Source: dmar.c, dmar_cte_add().
LeafResult Module::tdh_dmar_add(DmarIndex index, const DmarValue& value) {
  Leaf leaf(*state_, row::kDmarAdd, {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  if (!dmar_index_fits(index)) return leaf.refuse("index");
  TDX_ASSIGN(IommuState* const iommu, leaf.iommu(index.iommu));
  TDX_TRY(check_unused(leaf, index.level, value));
  TDX_ASSIGN(const DmarEntry* const there, dmar_walk(leaf, index, Operand::kRcx));
  if (dmar_state_of(there) != DmarState::kFree) return leaf.refuse("state");
  DmarEntry* const parent = parent_entry(leaf.s, index);
  const bool goes_on = there != nullptr;
  const Hpa table{value[0] & kTablePointer};
  const std::uint32_t pages = pages_of(index.level, value);
  if (goes_on) {
    for (std::size_t i = 0; i < value.size(); ++i)
      if (value.at(i) != there->value.at(i)) return leaf.refuse("value", kValueOperands[i]);
  } else {
    TDX_TRY(check_value(leaf, index.level, value));
    for (std::uint32_t i = 0; i < pages; ++i)
      TDX_TRY(leaf.free_page(table + i * kPageSize, Operand::kRdx));
  }
  leaf.give_way();
  DmarEntry& entry = leaf.s.dmar[dmar_key(index)];
  if (!goes_on) {
    entry.where = place_in(parent == nullptr ? iommu->root_table : parent->table, index);
    entry.value = value;
    entry.table = table;
    entry.pages = pages;
    for (std::uint32_t i = 0; i < pages; ++i)
      leaf.s.take_iommu_page(index.iommu, table + i * kPageSize);
  }
  if (pages > 1) TDX_TRY(page_by_page(leaf, entry, "TDH.DMAR.ADD interrupted"));
  if (parent != nullptr) ++parent->children;
  entry.state = index.level == DmarLevel::kPasid ? DmarState::kPending : DmarState::kPresent;
  write_value(leaf.s, index.level, entry, value);
  return {};
}

LeafResult Module::tdh_dmar_block(DmarIndex index) {
  Leaf leaf(*state_, row::kDmarBlock, {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  if (!dmar_index_fits(index)) return leaf.refuse("index");
  TDX_TRY(leaf.iommu(index.iommu));
  TDX_ASSIGN(DmarEntry* const entry, dmar_walk(leaf, index, Operand::kRcx));
  const DmarState state = dmar_state_of(entry);
  if (state != DmarState::kPresent && state != DmarState::kPending) return leaf.refuse("state");
  if (entry->children != 0) return leaf.refuse("children");
  if (index.level == DmarLevel::kPasid) TDX_TRY(leaf.devif(FunctionId{index.rid}, Operand::kRcx));
  leaf.give_way();
  dmar_write(leaf.s, entry->where, 0);
  entry->state = DmarState::kBlocked;
  entry->inv = InvState::kPending;
  return {};
}

LeafResult Module::tdh_dmar_read(DmarIndex index) {
  Leaf leaf(*state_, row::kDmarRead, {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  if (!dmar_index_fits(index)) return leaf.refuse("index");
  TDX_TRY(leaf.iommu(index.iommu));
  TDX_ASSIGN(const DmarEntry* const entry, dmar_walk(leaf, index, Operand::kRcx));
  LeafResult result{.status = {}, .rdx = static_cast<std::uint64_t>(index.level)};
  if (entry == nullptr) return result;
  result.rdx |= static_cast<std::uint64_t>(entry->state) << 3U |
                static_cast<std::uint64_t>(entry->inv) << 11U |
                static_cast<std::uint64_t>(entry->done) << 14U;
  std::uint64_t* const registers[] = {&result.r8,  &result.r9,  &result.r10, &result.r11,
                                      &result.r12, &result.r13, &result.r14, &result.r15};
  for (std::size_t i = 0; i < quadwords_of(index.level); ++i) {
    const auto value = leaf.s.memory.read_u64(entry->where + i * 8, hw::KeyId{kModuleKey});
    TEEIO_CHECK(value.has_value(), "a DMAR table page is RAM with the module's key");
    *registers[i] = *value;
  }
  return result;
}

LeafResult Module::tdh_dmar_remove(DmarIndex index) {
  Leaf leaf(*state_, row::kDmarRemove, {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  if (!dmar_index_fits(index)) return leaf.refuse("index");
  TDX_TRY(leaf.iommu(index.iommu));
  TDX_ASSIGN(DmarEntry* const entry, dmar_walk(leaf, index, Operand::kRcx));
  if (dmar_state_of(entry) != DmarState::kBlocked) return leaf.refuse("state");
  if (entry->inv != InvState::kDone) return leaf.refuse("inv_state");
  if (entry->pages > 1) TDX_TRY(page_by_page(leaf, *entry, "TDH.DMAR.REMOVE interrupted"));
  for (std::uint32_t i = 0; i < entry->pages; ++i)
    TDX_TRY(leaf.take_page_of(entry->table + i * kPageSize, "busy", Operand::kRcx));
  const bool accepted = raw(entry->tdr) != 0;
  if (accepted) TDX_TRY(check_accepted(leaf, index, *entry));
  leaf.give_way();
  if (accepted) forget_accepted(leaf.s, index, *entry);
  const Hpa table = entry->table;
  for (std::uint32_t i = 0; i < entry->pages; ++i) leaf.s.release_page(table + i * kPageSize);
  write_value(leaf.s, index.level, *entry, {});
  if (DmarEntry* const parent = parent_entry(leaf.s, index); parent != nullptr) --parent->children;
  leaf.s.dmar.erase(dmar_key(index));
  return {.status = {}, .rcx = raw(table)};
}

}  // namespace teeio::tdx
