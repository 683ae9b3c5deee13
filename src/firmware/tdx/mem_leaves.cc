#include <array>
#include <optional>

#include "base/check.h"
#include "firmware/tdx/leaf.h"

// Private memory of a TD: tables, pages, blocking and tracking.

namespace teeio::tdx {
namespace {

constexpr std::uint64_t kFramesOf2M = 512;

/// The state that blocking leads to; nullopt: this leaf does not block such an
/// entry (MMIO entries among them). Source: sept_state_lookup.h.
std::optional<SeptState> blocked_form(SeptState state) {
  switch (state) {
    case SeptState::kMapped:
      return SeptState::kBlocked;
    case SeptState::kPending:
      return SeptState::kPendingBlocked;
    case SeptState::kTable:
      return SeptState::kTableBlocked;
    case SeptState::kFree:
    case SeptState::kBlocked:
    case SeptState::kPendingBlocked:
    case SeptState::kTableBlocked:
    case SeptState::kMmioPending:
    case SeptState::kMmioMapped:
    case SeptState::kMmioBlocked:
      break;
  }
  return std::nullopt;
}

/// The way back; nullopt for an entry that this leaf's kind has not blocked.
std::optional<SeptState> unblocked_form(SeptState state) {
  switch (state) {
    case SeptState::kBlocked:
      return SeptState::kMapped;
    case SeptState::kPendingBlocked:
      return SeptState::kPending;
    case SeptState::kTableBlocked:
      return SeptState::kTable;
    case SeptState::kFree:
    case SeptState::kMapped:
    case SeptState::kPending:
    case SeptState::kTable:
    case SeptState::kMmioPending:
    case SeptState::kMmioMapped:
    case SeptState::kMmioBlocked:
      break;
  }
  return std::nullopt;
}

/// The tests of a blocked entry before its page may go.
Checked<void> tracked(Leaf& leaf, const Td& td, Hpa entry) {
  if (!State::needs_tracking(td)) return {};
  const std::uint64_t blocked_in = td.bepoch.at(raw(entry));
  if (!td.tlb_tracked(blocked_in))
    return leaf.refuse(Code::kTlbTrackingNotDone, Operand::kRcx,
                       "a vCPU may still have a translation from before the block");
  if (!td.iotlb_tracked(blocked_in))
    return leaf.refuse(Code::kIotlbTrackingNotDone, Operand::kRcx,
                       "an IOMMU may still have a translation from before the block");
  return {};
}

}  // namespace

LeafResult Module::tdh_mem_sept_add(Hpa tdr, Gpa gpa, Level level, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.SEPT.ADD"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  if (level == Level::k4K)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "no table hangs below a 4 KiB entry");
  TDX_TRY(leaf.free_page(page, Operand::kR8));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Tree::kExclusive));
  if (place.entry.state() != SeptState::kFree)
    return leaf.refuse(Code::kEptEntryStateIncorrect, Operand::kRcx, "the entry is in use");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kSept, tdr, td->key());
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(SeptState::kTable, level, page));
  ++td->chldcnt;
  return {};
}

LeafResult Module::tdh_mem_sept_remove(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.SEPT.REMOVE"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  if (level == Level::k4K)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "no table hangs below a 4 KiB entry");
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Tree::kExclusive));
  if (place.entry.state() != SeptState::kTableBlocked)
    return leaf.refuse(Code::kGpaRangeNotBlocked, Operand::kRcx, "the table is not blocked");
  TDX_TRY(tracked(leaf, *td, place.where));
  const Hpa table = place.entry.address();
  if (Sept(leaf.s.memory, *td).table_in_use(table))
    return leaf.refuse(Code::kEptEntryStateIncorrect, Operand::kRcx, "the table has entries");
  TDX_TRY(leaf.take(leaf.s.pamt.entry(table).lock, Operand::kPamt));
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry());
  td->bepoch.erase(raw(place.where));
  leaf.s.release_page(table);
  --td->chldcnt;
  return {.status = {}, .rcx = raw(table)};
}

LeafResult Module::tdh_mem_page_add(Hpa tdr, Gpa gpa, Hpa page, Hpa source) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.PAGE.ADD"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuilding));
  TDX_TRY(leaf.gpa(gpa, Level::k4K, Level::k4K));
  TDX_TRY(leaf.free_page(page, Operand::kR8));
  TDX_TRY(leaf.shared_page(source, Operand::kR9));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, Level::k4K, Level::k4K, Leaf::Tree::kShared));
  if (place.entry.state() != SeptState::kFree)
    return leaf.refuse(Code::kEptEntryStateIncorrect, Operand::kRcx, "the GPA has a page");
  std::array<std::byte, kPageSize> bytes{};
  if (!leaf.s.memory.read(source, bytes))
    return leaf.refuse(Code::kOperandInvalid, Operand::kR9, "the source page cannot be read");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kRegular, tdr, td->key());
  const bool copied = leaf.s.memory.write(page, bytes, td->key()).has_value();
  TEEIO_CHECK(copied, "a page of RAM takes bytes with the key that it was given");
  Sept(leaf.s.memory, *td)
      .write(place.where, SeptEntry::make(SeptState::kMapped, Level::k4K, page));
  ++td->chldcnt;
  return {};
}

LeafResult Module::tdh_mem_page_aug(Hpa tdr, Gpa gpa, Level level, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.PAGE.AUG"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.gpa(gpa, level, Level::k2M));
  if (raw(page) % level_bytes(level) != 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kR8, "the page is not aligned to the level");
  const std::uint64_t frames = level == Level::k2M ? kFramesOf2M : 1;
  for (std::uint64_t i = 0; i < frames; ++i)
    TDX_TRY(leaf.free_page(page + i * kPageSize, Operand::kR8));
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k2M, Leaf::Tree::kShared));
  if (place.entry.state() != SeptState::kFree)
    return leaf.refuse(Code::kEptEntryStateIncorrect, Operand::kRcx, "the GPA has an entry");
  leaf.give_way();
  for (std::uint64_t i = 0; i < frames; ++i)
    leaf.s.take_page(page + i * kPageSize, PageType::kRegular, tdr, td->key());
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(SeptState::kPending, level, page));
  td->chldcnt += frames;
  return {};
}

LeafResult Module::tdh_mem_page_remove(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.PAGE.REMOVE"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k2M, Leaf::Tree::kShared));
  const SeptState state = place.entry.state();
  if (state != SeptState::kBlocked && state != SeptState::kPendingBlocked)
    return leaf.refuse(Code::kGpaRangeNotBlocked, Operand::kRcx, "the page is not blocked");
  TDX_TRY(tracked(leaf, *td, place.where));
  const Hpa page = place.entry.address();
  const std::uint64_t frames = level == Level::k2M ? kFramesOf2M : 1;
  for (std::uint64_t i = 0; i < frames; ++i)
    TDX_TRY(leaf.take(leaf.s.pamt.entry(page + i * kPageSize).lock, Operand::kPamt));
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry());
  td->bepoch.erase(raw(place.where));
  for (std::uint64_t i = 0; i < frames; ++i) leaf.s.release_page(page + i * kPageSize);
  td->chldcnt -= frames;
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_mem_range_block(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.RANGE.BLOCK"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Tree::kExclusive));
  const SeptState state = place.entry.state();
  if (unblocked_form(state)) return leaf.remark(Code::kGpaRangeAlreadyBlocked);
  const auto next = blocked_form(state);
  if (!next)
    return leaf.refuse(Code::kEptEntryStateIncorrect, Operand::kRcx, "no RAM entry to block");
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(*next, level, place.entry.address()));
  td->bepoch[raw(place.where)] = td->epoch;
  return {};
}

LeafResult Module::tdh_mem_range_unblock(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.RANGE.UNBLOCK"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Tree::kExclusive));
  const auto next = unblocked_form(place.entry.state());
  if (!next)
    return leaf.refuse(Code::kGpaRangeNotBlocked, Operand::kRcx, "the range is not blocked");
  TDX_TRY(tracked(leaf, *td, place.where));
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(*next, level, place.entry.address()));
  td->bepoch.erase(raw(place.where));
  return {};
}

LeafResult Module::tdh_mem_track(Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MEM.TRACK"));
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRcx, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.take(td->epoch_lock, Operand::kTdEpoch));
  if (td->vcpu_refs[(td->epoch - 1) & 1U] != 0)
    return leaf.refuse(Code::kPreviousTlbEpochBusy, Operand::kTdEpoch,
                       "a vCPU of the previous epoch has not left the TD");
  if (td->prev_iotlb_cnt != 0)
    return leaf.refuse(Code::kIotlbTrackingNotDone, Operand::kTdEpoch,
                       "an IOMMU has not dropped the translations of the previous epoch");
  leaf.give_way();
  td->prev_iotlb_cnt = td->curr_iotlb_cnt;
  ++td->epoch;
  return {};
}

}  // namespace teeio::tdx
