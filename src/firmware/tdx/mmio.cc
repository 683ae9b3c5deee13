#include "base/check.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/mmiomt.h"

// Private MMIO in the secure EPT.

namespace teeio::tdx {
namespace {

/// Precondition: some TD has the page mapped.
MmiomtEntry& mmiomt_data(State& s, Hpa address, Level level) {
  std::optional<MmiomtEntry>& data = mmiomt_slot(s, address, level).data;
  TEEIO_CHECK(data.has_value(), "a page that is mapped keeps its metadata");
  return *data;
}

void emit(State& s, object::Fact fact, std::string_view name, const Td& td, FunctionId function,
          Gpa gpa, Hpa address) {
  s.trace.fact(object::Lane::kFirmware, fact, name,
               {.function = bdf_of(function), .vm = td.trace_vm, .a = raw(gpa), .b = raw(address)});
}

}  // namespace

LeafResult Module::tdh_mmio_map(Hpa tdr, Gpa gpa, Level level, Hpa address) {
  Leaf leaf(*state_, row::kMmioMap, {.detail = describe(gpa, level)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.gpa(gpa, level, Level::k1G));
  if (raw(address) % level_bytes(level) != 0 || raw(address) >> 52U != 0)
    return leaf.refuse("address");
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k1G, Leaf::Hold::kShared));
  if (place.entry.state() != SeptState::kFree) return leaf.refuse("state", place);
  TDX_ASSIGN(const MmiomtPlace page, mmiomt_lock(leaf, address, static_cast<unsigned>(level)));
  std::optional<MmiomtEntry>& metadata = page.slot->data;
  if (!metadata || metadata->mapped) return leaf.refuse("metadata");
  TDX_ASSIGN(Devif* const devif, leaf.devif(metadata->owner, Operand::kR8));
  if (devif->tdr != tdr) return leaf.refuse("owner");
  TDX_TRY(leaf.iommu(devif->iommu));
  if (leaf.s.stream_of(*devif).blocked) return leaf.refuse("stream_blocked");
  leaf.give_way();
  Sept(leaf.s.memory, *td)
      .write(place.where, SeptEntry::make(SeptState::kMmioPending, level, address));
  metadata->mapped = true;
  ++devif->mmio_page_cnt;
  emit(leaf.s, object::Fact::kMmioMapped, "MMIO mapped", *td, metadata->owner, gpa, address);
  return {};
}

LeafResult Module::tdh_mmio_block(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, row::kMmioBlock, {.detail = describe(gpa, level)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k1G, Leaf::Hold::kExclusive));
  const SeptState state = place.entry.state();
  if (state != SeptState::kMmioMapped && state != SeptState::kMmioPending)
    return leaf.refuse("state", place);
  leaf.give_way();
  const Hpa address = place.entry.address();
  Sept(leaf.s.memory, *td)
      .write(place.where, SeptEntry::make(SeptState::kMmioBlocked, level, address));
  td->bepoch[raw(place.where)] = td->epoch;
  MmiomtEntry& metadata = mmiomt_data(leaf.s, address, level);
  metadata.bepoch = td->epoch;
  emit(leaf.s, object::Fact::kMmioBlocked, "MMIO blocked", *td, metadata.owner, gpa, address);
  return {};
}

LeafResult Module::tdh_mmio_unmap(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, row::kMmioUnmap, {.detail = describe(gpa, level)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k1G, Leaf::Hold::kShared));
  if (place.entry.state() != SeptState::kMmioBlocked) return leaf.refuse("state", place);
  TDX_TRY(leaf.tracked(*td, place));
  const Hpa address = place.entry.address();
  MmiomtEntry& metadata = mmiomt_data(leaf.s, address, level);
  TDX_ASSIGN(Devif* const devif, leaf.devif(metadata.owner, Operand::kRcx));
  if (devif->state != TdiState::kUnlocked && !leaf.s.stream_of(*devif).blocked)
    return leaf.refuse("unlocked");
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry());
  td->bepoch.erase(raw(place.where));
  metadata.mapped = false;
  --devif->mmio_page_cnt;
  emit(leaf.s, object::Fact::kMmioUnmapped, "MMIO unmapped", *td, metadata.owner, gpa, address);
  return {.status = {}, .r8 = raw(address)};
}

}  // namespace teeio::tdx
