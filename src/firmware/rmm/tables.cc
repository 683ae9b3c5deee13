#include <algorithm>

#include "firmware/rmm/command.h"
#include "firmware/rmm/mapping.h"

// A realm's tables and what it thinks of its addresses: TF-RMM runtime/rmi/rtt.c.

namespace teeio::rmm {
namespace {

/// validate_map_addr() of a page.
bool is_page_place(Gpa ipa) { return is_page_aligned(raw(ipa)) && raw(ipa) < Rtt::kAddresses; }

enum EntryState : std::uint64_t { kUnassigned = 0, kAssigned = 1, kTable = 2, kAssignedDev = 3 };

/// validate_rtt_structure_cmds(): a table of `level`, at the beginning of what it covers.
bool is_table_place(Gpa ipa, std::uint8_t level) {
  return level > Rtt::kRootLevel && level <= kPageLevel &&
         raw(ipa) % level_bytes(static_cast<std::uint8_t>(level - 1)) == 0 &&
         raw(ipa) < Rtt::kAddresses;
}

/// s2tte_is_live(): it maps something, or is a table.
bool is_live(const Rtt& rtt, Gpa ipa, std::uint8_t level) {
  return rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1)) ||
         rtt.entry(ipa, level).address.has_value();
}

/// s2tt_skip_non_live_entries(), within one table.
std::uint64_t next_live(const Rtt& rtt, Gpa ipa, std::uint8_t level) {
  if (is_live(rtt, ipa, level)) return raw(ipa);
  const std::uint64_t bytes = level_bytes(level);
  Gpa at{raw(ipa) & ~(bytes - 1)};
  const Gpa end = at + to_table_end(at, level);
  do at = at + bytes;
  while (at < end && !is_live(rtt, at, level));
  return raw(at);
}

/// update_ripas(). False: it may not be.
bool change(Rtt::Entry& entry, Ripas wanted, bool change_destroyed) {
  if (wanted == Ripas::kRam) {
    if (entry.address && !entry.data) return false;
    if (entry.ripas == Ripas::kDestroyed && !change_destroyed) return false;
  }
  entry.ripas = wanted;
  return true;
}

}  // namespace

RmiResult Rmm::rtt_create(Hpa rd, Hpa rtt, Gpa ipa, std::uint8_t level) {
  Command c(*this, row::kRttCreate);
  if (!c.begin()) return c.result();
  if (!c.granule(rtt, GranuleState::kDelegated, "granule")) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(!is_table_place(ipa, level), "level");
  const auto above = static_cast<std::uint8_t>(level - 1);
  const Rtt::Walk walk = realm->rtt.walk(ipa, above);
  if (walk.level != above) return c.refuse("walk", 0, walk.level);
  if (walk.table) return c.refuse("entry", 0, above);
  // A block is mapped by its parts as it was; what is cached of it goes before.
  if (realm->rtt.entry(ipa, above).valid()) invalidate(*realm);
  set(rtt, GranuleState::kRtt);
  realm->rtt.add_table(ipa, level, rtt);
  return {};
}

RmiResult Rmm::rtt_destroy(Hpa rd, Gpa ipa, std::uint8_t level) {
  Command c(*this, row::kRttDestroy);
  if (!c.begin()) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(!is_table_place(ipa, level), "level");
  const auto above = static_cast<std::uint8_t>(level - 1);
  const bool there = realm->rtt.has_table(ipa, level);
  if (!there || realm->rtt.live(ipa, level)) {
    const std::uint8_t walked = realm->rtt.walk(ipa, above).level;
    RmiResult refused = there ? c.refuse("live", 0, level) : c.refuse("walk", 0, walked);
    refused.x2 = there ? raw(ipa) : next_live(realm->rtt, ipa, walked);
    return refused;
  }
  // Entries of shared memory may be valid, and go with the table.
  if (raw(ipa) >= Rtt::kProtected) invalidate(*realm);
  const Hpa granule = realm->rtt.remove_table(ipa, level);
  set(granule, GranuleState::kDelegated);
  return {.x1 = raw(granule), .x2 = next_live(realm->rtt, ipa, above)};
}

RmiResult Rmm::rtt_fold(Hpa rd, Gpa ipa, std::uint8_t level) {
  Command c(*this, row::kRttFold);
  if (!c.begin()) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(!is_table_place(ipa, level), "level");
  const auto above = static_cast<std::uint8_t>(level - 1);
  const Rtt::Walk walk = realm->rtt.walk(ipa, above);
  if (walk.level != above) return c.refuse("walk", 0, walk.level);
  if (!walk.table) return c.refuse("table", 0, above);
  const auto entry = realm->rtt.folded(ipa, level);
  if (!entry) return c.refuse("mixed", 0, level);
  if (entry->valid()) invalidate(*realm);
  const Hpa granule = realm->rtt.fold_table(ipa, level, *entry);
  set(granule, GranuleState::kDelegated);
  return {.x1 = raw(granule)};
}

/// What is EMPTY becomes RAM, as far as that, and what is RAM already, goes in one table.
RmiResult Rmm::rtt_init_ripas(Hpa rd, Gpa base, Gpa top) {
  Command c(*this, row::kRttInitRipas);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(top <= base, "range");
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(!is_page_place(base) || !is_page_place(top) || !in_protected(base, top), "place");
  RMM_REFUSE_IF(realm->state != RealmState::kNew, "realm");
  const std::uint8_t level = realm->rtt.walk(base, kPageLevel).level;
  const std::uint64_t bytes = level_bytes(level);
  if (raw(base) % bytes != 0) return c.refuse("walk", 0, level);
  const std::uint64_t end = std::min(raw(top) - raw(base), to_table_end(base, level));
  std::uint64_t done = 0;
  for (; done + bytes <= end; done += bytes) {
    const Gpa ipa = base + done;
    Rtt::Entry entry = realm->rtt.entry(ipa, level);
    const bool device = entry.address && !entry.data;
    if (realm->rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1)) || device) break;
    if (entry.ripas != Ripas::kEmpty && entry.ripas != Ripas::kRam) break;
    entry.ripas = Ripas::kRam;
    realm->rtt.set(ipa, level, entry);
  }
  if (done == 0) return c.refuse("entry", 0, level);
  return {.x1 = raw(base) + done};
}

RmiResult Rmm::rtt_read_entry(Hpa rd, Gpa ipa, std::uint8_t level) {
  Command c(*this, row::kRttReadEntry);
  if (!c.begin()) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(level < Rtt::kRootLevel || level > kPageLevel ||
                    raw(ipa) % level_bytes(level) != 0 || raw(ipa) >= Rtt::kAddresses,
                "level");
  const Rtt::Walk walk = realm->rtt.walk(ipa, level);
  RmiResult result{.x1 = walk.level};
  if (walk.table) {
    result.x2 = kTable;
    result.x3 = raw(realm->rtt.table(ipa, static_cast<std::uint8_t>(walk.level + 1)));
    return result;
  }
  const Rtt::Entry entry = realm->rtt.entry(ipa, walk.level);
  result.x2 = !entry.address ? kUnassigned : entry.data || entry.shared ? kAssigned : kAssignedDev;
  // The source tells no address of device memory that is DESTROYED.
  if (entry.address && (entry.data || entry.ripas != Ripas::kDestroyed))
    result.x3 = raw(*entry.address) | entry.attributes;
  result.x4 = static_cast<std::uint64_t>(entry.ripas);
  return result;
}

RmiResult Rmm::rtt_set_ripas(Hpa rd, Hpa rec_at, Gpa base, Gpa top) {
  Command c(*this, row::kRttSetRipas);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(top <= base || !is_page_aligned(raw(top)), "range");
  RMM_FIND(realm, c.realm(rd, "rd_rec"));
  RMM_FIND(rec, c.rec(rec_at, "rd_rec"));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(rec->rd != rd, "foreign");
  Rec::SetRipas& request = rec->set_ripas;
  RMM_REFUSE_IF(base != request.addr || top > request.top, "request");
  const std::uint8_t level = realm->rtt.walk(base, kPageLevel).level;
  const std::uint64_t bytes = level_bytes(level);
  if (raw(base) % bytes != 0) return c.refuse("walk", 0, level);
  const std::uint64_t span = bytes * 512;
  const std::uint64_t end = std::min(raw(top) - raw(base), span - raw(base) % span);
  std::uint64_t done = 0;
  for (; done + bytes <= end; done += bytes) {
    // What is below a table has a RIPAS each: update_ripas() stops there.
    if (level < kPageLevel && realm->rtt.has_table(base + done, level + 1)) break;
    Rtt::Entry entry = realm->rtt.entry(base + done, level);
    const bool was_valid = entry.valid();
    if (!change(entry, request.wanted, request.change_destroyed)) break;
    realm->rtt.set(base + done, level, entry);
    for (std::uint64_t at = 0; was_valid && !entry.valid() && at < bytes; at += kPageSize)
      invalidate(*realm, base + done + at);
  }
  if (done == 0) return c.refuse("entry", 0, level);
  request.addr = base + done;
  return {.x1 = raw(base) + done};
}

}  // namespace teeio::rmm
