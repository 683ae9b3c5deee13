#include <fmt/format.h>

#include "firmware/tdx/leaf.h"
#include "firmware/tdx/mmiomt.h"

// Private MMIO in the secure EPT.

namespace teeio::tdx {
namespace {

std::string describe(Gpa gpa, Level level) {
  return fmt::format("gpa={:#x} level={}", raw(gpa), static_cast<unsigned>(level));
}

void emit(State& s, object::Fact fact, std::string_view name, const Td& td, FunctionId function,
          Gpa gpa, Hpa address) {
  s.trace.fact(object::Lane::kFirmware, fact, name,
               {.function = bdf_of(function), .vm = td.trace_vm, .a = raw(gpa), .b = raw(address)});
}

}  // namespace

/// Differs from tdh_mmio_map.c, which leaves RAM to MMIOMT: no RAM is mapped as MMIO here.
LeafResult Module::tdh_mmio_map(Hpa tdr, Gpa gpa, Level level, Hpa address) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MMIO.MAP"), {.detail = describe(gpa, level)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.gpa(gpa, level, Level::k1G));
  if (raw(address) % level_bytes(level) != 0 || raw(address) >> 52U != 0 || leaf.s.is_ram(address))
    return leaf.refuse(Code::kOperandInvalid, Operand::kR8, "the address is no MMIO page");
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k1G, Leaf::Hold::kShared));
  if (place.entry.state() != SeptState::kFree)
    return leaf.refuse(Code::kEptEntryStateIncorrect, place, "the GPA has an entry");
  TDX_ASSIGN(MmiomtEntry* const metadata, mmiomt_entry(leaf, address, level, Operand::kRcx));
  if (metadata == nullptr || metadata->mapped)
    return leaf.refuse(Code::kMmioInvalidPageMetadata, Operand::kRcx,
                       "the page has no owner, or is mapped");
  TDX_ASSIGN(Devif* const devif, leaf.devif(metadata->owner, Operand::kR8));
  if (devif->tdr != tdr)
    return leaf.refuse(Code::kMmioDevifOwnerMismatch, Operand::kRdx,
                       "the page belongs to another TD's function");
  TDX_TRY(leaf.iommu(devif->iommu));
  if (leaf.s.stream_of(*devif).blocked)
    return leaf.refuse(Code::kIdeStreamBlocked, Operand::kR8, "the IDE stream is blocked");
  leaf.give_way();
  Sept(leaf.s.memory, *td)
      .write(place.where, SeptEntry::make(SeptState::kMmioPending, level, address));
  metadata->mapped = true;
  ++devif->mmio_page_cnt;
  emit(leaf.s, object::Fact::kMmioMapped, "MMIO mapped", *td, metadata->owner, gpa, address);
  return {};
}

LeafResult Module::tdh_mmio_block(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MMIO.BLOCK"), {.detail = describe(gpa, level)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k1G, Leaf::Hold::kExclusive));
  const SeptState state = place.entry.state();
  if (state != SeptState::kMmioMapped && state != SeptState::kMmioPending)
    return leaf.refuse(Code::kEptEntryStateIncorrect, place, "no MMIO is mapped here");
  leaf.give_way();
  const Hpa address = place.entry.address();
  Sept(leaf.s.memory, *td)
      .write(place.where, SeptEntry::make(SeptState::kMmioBlocked, level, address));
  td->bepoch[raw(place.where)] = td->epoch;
  emit(leaf.s, object::Fact::kMmioBlocked, "MMIO blocked", *td,
       leaf.s.mmiomt.data.at(mmiomt_entry_key(address, level)).owner, gpa, address);
  return {};
}

LeafResult Module::tdh_mmio_unmap(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MMIO.UNMAP"), {.detail = describe(gpa, level)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k1G, Leaf::Hold::kShared));
  if (place.entry.state() != SeptState::kMmioBlocked)
    return leaf.refuse(Code::kEptEntryStateIncorrect, place,
                       "the MMIO entry was not blocked first");
  const std::uint64_t blocked_in = td->bepoch.at(raw(place.where));
  if (State::needs_tracking(*td) && !td->tlb_tracked(blocked_in))
    return leaf.refuse(Code::kTlbTrackingNotDone, Operand::kRcx,
                       "a vCPU may still have a translation from before the block");
  if (State::needs_tracking(*td) && !td->iotlb_tracked(blocked_in))
    return leaf.refuse(Code::kIotlbTrackingNotDone, Operand::kRcx,
                       "an IOMMU may still have a translation from before the block");
  const Hpa address = place.entry.address();
  MmiomtEntry& metadata = leaf.s.mmiomt.data.at(mmiomt_entry_key(address, level));
  TDX_ASSIGN(Devif* const devif, leaf.devif(metadata.owner, Operand::kRcx));
  if (devif->state != TdiState::kUnlocked && !leaf.s.stream_of(*devif).blocked)
    return leaf.refuse(Code::kTdispInvalidState, Operand::kRcx,
                       "the TDI was not stopped and its IDE stream is not blocked");
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry());
  td->bepoch.erase(raw(place.where));
  metadata.mapped = false;
  --devif->mmio_page_cnt;
  emit(leaf.s, object::Fact::kMmioUnmapped, "MMIO unmapped", *td, metadata.owner, gpa, address);
  return {.status = {}, .r8 = raw(address)};
}

}  // namespace teeio::tdx
