#include "firmware/tdx/leaf.h"

// The table of device interfaces and its leaves: DEVIFMT and DEVIF.CREATE/REMOVE.

namespace teeio::tdx {
namespace {

Checked<void> index(Leaf& leaf, FunctionId function, std::uint8_t level, std::uint8_t lowest = 1) {
  if (level < lowest || level > kDevifmtLevels || static_cast<std::uint32_t>(function) >> 16U != 0)
    return leaf.refuse("index");
  return {};
}

/// An entry as it lies in a table. Source: devifmt_defs.h, devifmt_entry_t.
std::uint64_t entry_bits(const TryLock* lock, std::optional<Hpa> page) {
  constexpr std::uint64_t kPresent = 1, kLock = 2, kHostPriority = 4;
  std::uint64_t bits = page ? raw(*page) | kPresent : 0;
  if (lock != nullptr && lock->taken()) bits |= kLock;
  if (lock != nullptr && lock->host_waits()) bits |= kHostPriority;
  return bits;
}

/// One child more or less of the table of `level`, if there is such a level.
void count_child(State& s, FunctionId function, unsigned level, int children) {
  if (level > kDevifmtLevels) return;
  DevifmtTable& table = s.devifmt.tables.unrecorded(devifmt_table(function, level));
  table.children += static_cast<std::uint32_t>(children);
}

}  // namespace

LeafResult Module::tdh_devifmt_add(FunctionId function, std::uint8_t level, Hpa page) {
  Leaf leaf(*state_, row::kDevifmtAdd, {.function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(index(leaf, function, level));
  TDX_TRY(leaf.free_page(page, Operand::kRdx));
  TDX_TRY(leaf.devifmt_walk(function, level, Operand::kRcx));
  const Devifmt::Key key = devifmt_table(function, level);
  TDX_TRY(leaf.take_host_priority(leaf.s.devifmt.locks[key], "entry", Operand::kRcx));
  if (leaf.s.devifmt.tables.contains(key)) return leaf.refuse("present");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kDevifmt, Hpa{0}, hw::KeyId{kModuleKey});
  leaf.s.devifmt.tables[key].page = page;
  count_child(leaf.s, function, level + 1U, 1);
  return {};
}

LeafResult Module::tdh_devifmt_remove(FunctionId function, std::uint8_t level) {
  Leaf leaf(*state_, row::kDevifmtRemove, {.function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(index(leaf, function, level));
  TDX_TRY(leaf.devifmt_walk(function, level, Operand::kRcx));
  const Devifmt::Key key = devifmt_table(function, level);
  TDX_TRY(leaf.take_host_priority(leaf.s.devifmt.locks[key], "entry", Operand::kRcx));
  const DevifmtTable* const table = leaf.s.devifmt.tables.find(key);
  if (table == nullptr) return leaf.refuse("table");
  const Hpa page = table->page;
  TDX_TRY(leaf.take_page_of(page, "busy", Operand::kRcx));
  if (table->children != 0) return leaf.refuse("empty");
  leaf.give_way();
  leaf.s.release_page(page);
  leaf.s.devifmt.tables.erase(key);
  count_child(leaf.s, function, level + 1U, -1);
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_devifmt_rd(FunctionId function, std::uint8_t level) {
  Leaf leaf(*state_, row::kDevifmtRd, {.function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(index(leaf, function, level, 0));
  TDX_TRY(leaf.devifmt_walk(function, level, Operand::kRcx));
  const Devifmt& t = leaf.s.devifmt;
  if (level == 0) {
    const DevifSlot* const slot = t.slots.find(static_cast<std::uint32_t>(function));
    if (slot == nullptr) return {};
    const auto page = slot->devif ? std::optional(slot->devif->devifcs) : std::nullopt;
    return {.status = {}, .rcx = entry_bits(&slot->lock, page)};
  }
  const Devifmt::Key key = devifmt_table(function, level);
  const DevifmtTable* const table = t.tables.find(key);
  const auto page = table != nullptr ? std::optional(table->page) : std::nullopt;
  return {.status = {}, .rcx = entry_bits(t.locks.find(key), page)};
}

LeafResult Module::tdh_devif_create(Hpa tdr, FunctionId function, std::uint32_t iommu,
                                    std::uint8_t stream, Hpa devifcs, Hpa td_buffer,
                                    Hpa vmm_buffer) {
  Leaf leaf(*state_, row::kDevifCreate, {.function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  TDX_TRY(leaf.free_page(devifcs, Operand::kR8));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.free_page(td_buffer, Operand::kR9));
  TDX_TRY(leaf.free_page(vmm_buffer, Operand::kR10));
  TDX_ASSIGN(DevifSlot* const slot, leaf.devifmt_slot(function, Operand::kRcx));
  if (slot->devif) return leaf.refuse("present");
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  const auto at = state->streams.find(stream);
  if (at == state->streams.end() || at->second.blocked) return leaf.refuse("stream");
  const IdeStreamConfig& config = at->second.config;
  const std::uint16_t rid = bdf_of(function).rid();
  if (rid < config.rid_base || rid > config.rid_limit) return leaf.refuse("rid");
  TDX_ASSIGN(const SpdmSession* const spdm,
             leaf.bound_spdm(*state, at->second.spdm, Operand::kRcx));
  leaf.give_way();
  for (const Hpa page : {devifcs, td_buffer, vmm_buffer})
    leaf.s.take_page(page, PageType::kDevifcs, tdr, hw::KeyId{kModuleKey});
  Devif& devif = slot->devif.emplace();
  devif.devifcs = devifcs;
  devif.td_buffer = td_buffer;
  devif.vmm_buffer = vmm_buffer;
  devif.tdr = tdr;
  devif.iommu = iommu;
  devif.stream = stream;
  devif.info_hash = spdm->info_hash;
  devif.report_length = kMaxTdispMessage;
  count_child(leaf.s, function, 1, 1);
  ++at->second.devif_ref_cnt;
  ++td->devif_ref_cnt;
  td->chldcnt += 3;
  leaf.s.trace.fact(object::Lane::kFirmware, object::Fact::kMetadataCreated, "DEVIF exists",
                    {.function = bdf_of(function), .vm = td->trace_vm});
  return {};
}

LeafResult Module::tdh_devif_remove(FunctionId function) {
  Leaf leaf(*state_, row::kDevifRemove, {.function = bdf_of(function)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(DevifSlot* const slot, leaf.devifmt_slot(function, Operand::kRcx));
  if (!slot->devif) return leaf.refuse("devif", Operand::kRcx);
  const Devif& devif = *slot->devif;
  TDX_TRY(leaf.iommu(devif.iommu));
  IdeStream& stream = leaf.s.stream_of(devif);
  if (devif.state != TdiState::kUnlocked && !stream.blocked) return leaf.refuse("unlocked");
  if (devif.dmar_mapped) return leaf.refuse("dma");
  TDX_ASSIGN(Td* const td, leaf.any_td(devif.tdr, Operand::kTdr, Leaf::Hold::kShared));
  if (!td->fatal && devif.mmio_page_cnt != 0) return leaf.refuse("mmio");
  for (const Hpa page : {devif.devifcs, devif.td_buffer, devif.vmm_buffer})
    TDX_TRY(leaf.take_page_of(page, "busy", Operand::kRcx));
  leaf.give_way();
  const LeafResult pages{.status = {},
                         .rcx = raw(devif.td_buffer),
                         .rdx = raw(devif.vmm_buffer),
                         .r8 = raw(devif.tdr),
                         .r9 = raw(devif.devifcs)};
  for (const Hpa page : {devif.devifcs, devif.td_buffer, devif.vmm_buffer})
    leaf.s.release_page(page);
  --stream.devif_ref_cnt;
  --td->devif_ref_cnt;
  td->chldcnt -= 3;
  leaf.s.trace.fact(object::Lane::kFirmware, object::Fact::kMetadataRemoved, "DEVIF is gone",
                    {.function = bdf_of(function), .vm = td->trace_vm});
  slot->devif.reset();
  count_child(leaf.s, function, 1, -1);
  return pages;
}

}  // namespace teeio::tdx
