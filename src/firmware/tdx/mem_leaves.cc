#include <array>
#include <optional>

#include "base/check.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/measurement.h"

// Private memory of a TD: tables, pages, blocking and tracking.

namespace teeio::tdx {
namespace {

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

/// Source: sept_state_lookup.c, row 29.
bool removable_page(SeptState state) {
  return state == SeptState::kMapped || state == SeptState::kPending ||
         state == SeptState::kBlocked || state == SeptState::kPendingBlocked;
}

constexpr std::uint64_t frames_of(Level level) { return level_bytes(level) / kPageSize; }

/// The PAMT entries of what a leaf gives back. RCX has named the page since its entry.
Checked<void> take_frames(Leaf& leaf, Hpa page, std::uint64_t frames) {
  for (std::uint64_t i = 0; i < frames; ++i)
    TDX_TRY(leaf.take_page_of(page + i * kPageSize, "busy", Operand::kRcx));
  return {};
}

}  // namespace

/// Source: tdh_mem_sept_add.c, version 0.
LeafResult Module::tdh_mem_sept_add(Hpa tdr, Gpa gpa, Level level, Hpa page) {
  Leaf leaf(*state_, row::kMemSeptAdd);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  if (level == Level::k4K) return leaf.refuse("table");
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Hold::kShared));
  if (place.entry.state() != SeptState::kFree) return leaf.refuse("state", place);
  TDX_TRY(leaf.free_page(page, Operand::kR8));
  leaf.give_way();
  leaf.s.take_page(page, PageType::kSept, tdr, td->key());
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(SeptState::kTable, level, page));
  ++td->chldcnt;
  return {};
}

/// Source: tdh_mem_sept_remove.c, version 0.
LeafResult Module::tdh_mem_sept_remove(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, row::kMemSeptRemove);
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  if (level == Level::k4K) return leaf.refuse("table");
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Hold::kExclusive));
  const SeptState state = place.entry.state();
  if (state != SeptState::kTable && state != SeptState::kTableBlocked)
    return leaf.refuse("state", place);
  const Hpa table = place.entry.address();
  TDX_TRY(take_frames(leaf, table, 1));
  TDX_TRY(leaf.tracked(*td, place));
  if (Sept(leaf.s.memory, *td).table_in_use(table)) return leaf.refuse("empty", place);
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry());
  td->bepoch.erase(raw(place.where));
  leaf.s.release_page(table);
  --td->chldcnt;
  return {.status = {}, .rcx = raw(table)};
}

/// Source: tdh_mem_page_add.c.
LeafResult Module::tdh_mem_page_add(Hpa tdr, Gpa gpa, Hpa page, Hpa source) {
  Leaf leaf(*state_, row::kMemPageAdd);
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRdx, AllowedIn::kBuilding, Leaf::Hold::kExclusive));
  TDX_ASSIGN(const Sept::Place place, leaf.sept_alone(*td, gpa, Level::k4K, Level::k4K));
  if (place.entry.state() != SeptState::kFree) return leaf.refuse("state", place);
  TDX_TRY(leaf.shared_page(source, Operand::kR9));
  std::array<std::byte, kPageSize> bytes{};
  if (!leaf.s.memory.read(source, bytes)) return leaf.refuse("shared", Operand::kR9);
  TDX_TRY(leaf.free_page(page, Operand::kR8));
  leaf.give_way();
  leaf.s.take_page(page, PageType::kRegular, tdr, td->key());
  const bool copied = leaf.s.memory.write(page, bytes, td->key()).has_value();
  TEEIO_CHECK(copied, "a page of RAM takes bytes with the key that it was given");
  Sept(leaf.s.memory, *td)
      .write(place.where, SeptEntry::make(SeptState::kMapped, Level::k4K, page));
  measure(*td, "MEM.PAGE.ADD", gpa);
  ++td->chldcnt;
  return {};
}

/// Source: tdh_mem_page_aug.c, check_and_lock_free_range_hpa().
LeafResult Module::tdh_mem_page_aug(Hpa tdr, Gpa gpa, Level level, Hpa page) {
  Leaf leaf(*state_, row::kMemPageAug);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k2M, Leaf::Hold::kShared));
  if (place.entry.state() != SeptState::kFree) return leaf.refuse("state", place);
  if (raw(page) % level_bytes(level) != 0) return leaf.refuse("page", Operand::kR8);
  const std::uint64_t frames = frames_of(level);
  for (std::uint64_t i = 0; i < frames; ++i)
    TDX_TRY(leaf.free_page(page + i * kPageSize, Operand::kR8));
  leaf.give_way();
  for (std::uint64_t i = 0; i < frames; ++i)
    leaf.s.take_page(page + i * kPageSize, PageType::kRegular, tdr, td->key());
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(SeptState::kPending, level, page));
  td->chldcnt += frames;
  return {};
}

/// Source: tdh_mem_page_remove.c.
LeafResult Module::tdh_mem_page_remove(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, row::kMemPageRemove);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place, leaf.sept(*td, gpa, level, Level::k1G, Leaf::Hold::kShared));
  if (!removable_page(place.entry.state())) return leaf.refuse("state", place);
  const Hpa page = place.entry.address();
  const std::uint64_t frames = frames_of(level);
  TDX_TRY(take_frames(leaf, page, frames));
  TDX_TRY(leaf.tracked(*td, place));
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry());
  td->bepoch.erase(raw(place.where));
  for (std::uint64_t i = 0; i < frames; ++i) leaf.s.release_page(page + i * kPageSize);
  td->chldcnt -= frames;
  return {.status = {}, .rcx = raw(page)};
}

LeafResult Module::tdh_mem_range_block(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, row::kMemRangeBlock);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Hold::kExclusive));
  const SeptState state = place.entry.state();
  if (unblocked_form(state)) return leaf.remark("blocked", place);
  const auto next = blocked_form(state);
  if (!next) return leaf.refuse("state", place);
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(*next, level, place.entry.address()));
  td->bepoch[raw(place.where)] = td->epoch;
  return {};
}

LeafResult Module::tdh_mem_range_unblock(Hpa tdr, Gpa gpa, Level level) {
  Leaf leaf(*state_, row::kMemRangeUnblock);
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, gpa, level, Level::k512G, Leaf::Hold::kExclusive));
  const auto next = unblocked_form(place.entry.state());
  if (!next) return leaf.refuse("state", place);
  TDX_TRY(leaf.tracked(*td, place));
  leaf.give_way();
  Sept(leaf.s.memory, *td).write(place.where, SeptEntry::make(*next, level, place.entry.address()));
  td->bepoch.erase(raw(place.where));
  return {};
}

LeafResult Module::tdh_mem_track(Hpa tdr) {
  Leaf leaf(*state_, row::kMemTrack);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRcx, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.take(td->epoch_lock, "epoch", Operand::kTdEpoch));
  if (td->vcpu_refs[(td->epoch - 1) & 1U] != 0) return leaf.refuse("vcpus");
  if (td->prev_iotlb_cnt != 0) return leaf.refuse("iotlb");
  leaf.give_way();
  td->prev_iotlb_cnt = td->curr_iotlb_cnt;
  ++td->epoch;
  return {};
}

LeafResult Module::tdh_mem_shared_sept_wr(Hpa tdr, Gpa gpa, Level level, std::uint64_t entry) {
  Leaf leaf(*state_, row::kMemSharedSeptWr, {.detail = describe(gpa, level)});
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  // With 48-bit addresses the shared bit is in the root's index.
  if (level != Level::k512G || raw(gpa) % level_bytes(level) != 0) return leaf.refuse("level");
  if ((raw(gpa) & kSharedGpaBit) == 0 || raw(gpa) >= 2 * kSharedGpaBit)
    return leaf.refuse("shared_half");
  TDX_TRY(leaf.share(td->sept_tree_lock, "tree", Operand::kSeptTree));
  const Sept sept(leaf.s.memory, *td);
  const Sept::Place place = sept.walk(gpa, level);
  leaf.give_way();
  sept.write(place.where, SeptEntry(entry));
  return {};
}

}  // namespace teeio::tdx
