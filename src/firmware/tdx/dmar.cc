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
Checked<void> check_accepted(Leaf& leaf, const DmarIndex& index, const DmarEntry& entry) {
  TDX_ASSIGN(Td* const td, leaf.any_td(entry.tdr, Operand::kTdr, Leaf::Hold::kShared));
  TDX_TRY(leaf.share(td->epoch_lock, Operand::kTdEpoch));
  if (td->prev_iotlb_cnt != 0 && td->iommus[index.iommu].pasidte_ref_cnt != 0)
    return leaf.refuse(Code::kIotlbTrackingNotDone, Operand::kRcx,
                       "an IOMMU has not dropped the translations of the previous epoch");
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

Checked<void> dmar_index(Leaf& leaf, const DmarIndex& index) {
  if (index.level > DmarLevel::kRoot || index.pasid >> kPasidBits != 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "bad DMAR index");
  return {};
}

Checked<DmarEntry*> dmar_walk(Leaf& leaf, const DmarIndex& index, Operand operand) {
  TDX_TRY(leaf.pass(leaf.s.iommus[index.iommu].root_table, operand));
  for (DmarIndex at = index; at.level != DmarLevel::kRoot;) {
    at = parent_of(at);
    const DmarEntry* const above = find(leaf.s, at);
    if (above == nullptr || above->state != DmarState::kPresent)
      return leaf.refuse(Code::kDmarEntryNotPresent, operand, "the table above is missing");
    TDX_TRY(leaf.pass(above->table, operand));
  }
  if (index.level < DmarLevel::kContext && index.pasid != 0)
    return leaf.refuse(Code::kOperandInvalid, operand, "the function has no such PASID");
  return find(leaf.s, index);
}

Checked<DmarEntry*> dmar_used(Leaf& leaf, const DmarIndex& index, Operand operand) {
  TDX_ASSIGN(DmarEntry* const entry, dmar_walk(leaf, index, operand));
  if (entry == nullptr)
    return leaf.refuse(Code::kDmarInvalidMappingState, operand, "the entry is free");
  return entry;
}

void dmar_write(State& s, Hpa where, std::uint64_t value) {
  const bool written = s.memory.write_u64(where, value, hw::KeyId{kModuleKey}).has_value();
  TEEIO_CHECK(written, "a DMAR table page is RAM with the module's key");
}

LeafResult Module::tdh_dmar_add(DmarIndex index, Hpa table) {
  Leaf leaf(*state_, TDX_LEAF("TDH.DMAR.ADD"), {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(dmar_index(leaf, index));
  TDX_ASSIGN(IommuState* const iommu, leaf.iommu(index.iommu));
  const bool leaf_entry = index.level == DmarLevel::kPasid;
  if (leaf_entry && raw(table) != 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "a PASID entry takes no page");
  TDX_ASSIGN(const DmarEntry* const used, dmar_walk(leaf, index, Operand::kRcx));
  if (used != nullptr)
    return leaf.refuse(Code::kDmarInvalidMappingState, Operand::kRcx, "the entry is in use");
  DmarEntry* const parent = parent_entry(leaf.s, index);
  if (!leaf_entry) TDX_TRY(leaf.free_page(table, Operand::kRdx));
  if (index.level == DmarLevel::kContext)
    TDX_TRY(leaf.may_be_interrupted("TDH.DMAR.ADD interrupted"));
  leaf.give_way();
  DmarEntry& entry = leaf.s.dmar[dmar_key(index)];
  entry.where = place_in(parent == nullptr ? iommu->root_table : parent->table, index);
  if (parent != nullptr) ++parent->children;
  entry.inv = InvState::kPending;  // as the module has it, though nothing is to be invalidated
  if (leaf_entry) {
    entry.state = DmarState::kPending;
    return {};
  }
  leaf.s.take_iommu_page(index.iommu, table);
  entry.state = DmarState::kPresent;
  entry.table = table;
  dmar_write(leaf.s, entry.where, raw(table) | kDmarPresent);
  return {};
}

LeafResult Module::tdh_dmar_block(DmarIndex index) {
  Leaf leaf(*state_, TDX_LEAF("TDH.DMAR.BLOCK"), {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(dmar_index(leaf, index));
  TDX_TRY(leaf.iommu(index.iommu));
  TDX_ASSIGN(DmarEntry* const entry, dmar_used(leaf, index, Operand::kRcx));
  if (entry->state != DmarState::kPresent && entry->state != DmarState::kPending)
    return leaf.refuse(Code::kDmarInvalidMappingState, Operand::kRcx, "the entry is blocked");
  if (entry->children != 0)
    return leaf.refuse(Code::kDmarInvalidMappingState, Operand::kRcx,
                       "the table has entries in use");
  if (index.level == DmarLevel::kPasid) TDX_TRY(leaf.devif(FunctionId{index.rid}, Operand::kRcx));
  leaf.give_way();
  dmar_write(leaf.s, entry->where, 0);
  entry->state = DmarState::kBlocked;
  entry->inv = InvState::kPending;
  return {};
}

LeafResult Module::tdh_dmar_read(DmarIndex index) {
  Leaf leaf(*state_, TDX_LEAF("TDH.DMAR.READ"), {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(dmar_index(leaf, index));
  TDX_TRY(leaf.iommu(index.iommu));
  TDX_ASSIGN(const DmarEntry* const entry, dmar_walk(leaf, index, Operand::kRcx));
  if (entry == nullptr) return {};
  const auto value = leaf.s.memory.read_u64(entry->where, hw::KeyId{kModuleKey});
  TEEIO_CHECK(value.has_value(), "a DMAR table page is RAM with the module's key");
  return {.status = {},
          .rcx = static_cast<std::uint64_t>(entry->inv),
          .rdx = static_cast<std::uint64_t>(entry->state),
          .r8 = *value};
}

LeafResult Module::tdh_dmar_remove(DmarIndex index) {
  Leaf leaf(*state_, TDX_LEAF("TDH.DMAR.REMOVE"), {.function = function_of(index)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(dmar_index(leaf, index));
  TDX_TRY(leaf.iommu(index.iommu));
  TDX_ASSIGN(const DmarEntry* const entry, dmar_used(leaf, index, Operand::kRcx));
  if (entry->state != DmarState::kBlocked)
    return leaf.refuse(Code::kDmarInvalidMappingState, Operand::kRcx, "the entry is not blocked");
  if (entry->inv != InvState::kDone)
    return leaf.refuse(Code::kDmarInvalidInvState, Operand::kRcx,
                       "the IOMMU may still know the entry");
  const Hpa table = entry->table;
  if (index.level != DmarLevel::kPasid)
    TDX_TRY(leaf.take(leaf.s.pamt.entry(table).lock, Operand::kRcx));
  else if (raw(entry->tdr) != 0)
    TDX_TRY(check_accepted(leaf, index, *entry));
  if (index.level == DmarLevel::kContext)
    TDX_TRY(leaf.may_be_interrupted("TDH.DMAR.REMOVE interrupted"));
  leaf.give_way();
  if (index.level == DmarLevel::kPasid) {
    if (raw(entry->tdr) != 0) forget_accepted(leaf.s, index, *entry);
  } else {
    leaf.s.release_page(table);
  }
  if (DmarEntry* const parent = parent_entry(leaf.s, index); parent != nullptr) --parent->children;
  leaf.s.dmar.erase(dmar_key(index));
  return {.status = {}, .rcx = raw(table)};
}

}  // namespace teeio::tdx
