#include <fmt/format.h>

#include "firmware/rmm/command.h"
#include "firmware/rmm/mapping.h"

// A realm's RAM: TF-RMM runtime/rmi/rtt_map.c and rtt_unmap.c.

namespace teeio::rmm {
namespace {

object::EventFields at_ipa(Gpa ipa) { return {.detail = fmt::format("ipa={:#x}", raw(ipa))}; }

}  // namespace

/// data_map_one_entry() and data_map_drain_pending(); empty: mapped. The same block twice is
/// no error.
std::string_view Rmm::map_data(Realm& realm, Gpa ipa, Hpa block, std::uint8_t level) {
  const std::uint64_t bytes = level_bytes(level);
  Rtt::Entry entry = realm.rtt.entry(ipa, level);
  const bool table =
      level < kPageLevel && realm.rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1));
  if (table || (entry.address && (!entry.data || *entry.address != block))) return "entry";
  if (entry.address) return {};
  for (std::uint64_t at = 0; at < bytes; at += kPageSize)
    if (memory_.is_mmio(block + at) || state_of(block + at) != GranuleState::kDelegated)
      return "granule";
  for (std::uint64_t at = 0; at < bytes; at += kPageSize) {
    (void)memory_.write(block + at, Bytes(kPageSize), kRealmWorld);
    set(block + at, GranuleState::kData);
  }
  entry.address = block;
  entry.data = true;
  realm.rtt.set(ipa, level, entry);
  return {};
}

RmiResult Rmm::rtt_data_map(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                            std::uint64_t addresses) {
  Command c(*this, row::kRttDataMap, at_ipa(base));
  if (!c.begin()) return c.result();
  const auto range = map_range(c, rd, base, top, flags, addresses, Memory::kData);
  if (!range) return c.result();
  return map_blocks(c, *range, [&](Gpa ipa, Hpa block) {
    return map_data(*range->realm, ipa, block, range->level);
  });
}

RmiResult Rmm::rtt_data_unmap(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                              std::uint64_t addresses) {
  Command c(*this, row::kRttDataUnmap, at_ipa(base));
  return unmap_range(c, rd, base, top,
                     {.flags = flags, .addresses = addresses, .memory = Memory::kData});
}

RmiResult Rmm::rtt_data_map_init(Hpa rd, Hpa data, Gpa ipa, Hpa source, std::uint64_t flags) {
  Command c(*this, row::kRttDataMapInit, at_ipa(ipa));
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(flags > kMeasureContent, "flags");
  RMM_REFUSE_IF(data == rd, "self");
  const Bytes contents = c.page(source, "source");
  if (contents.empty()) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(realm->state != RealmState::kNew, "realm");
  RMM_REFUSE_IF(!is_page_aligned(raw(ipa)) || !in_protected(ipa, ipa + kPageSize), "place");
  const Rtt::Walk walk = realm->rtt.walk(ipa, kPageLevel);
  if (walk.level != kPageLevel) return c.refuse("walk", 0, walk.level);
  if (realm->rtt.entry(ipa, kPageLevel).address) return c.refuse("entry", 0, kPageLevel);
  if (memory_.is_mmio(data) || !c.granule(data, GranuleState::kDelegated, "granule"))
    return c.refuse("granule");
  (void)memory_.write(data, contents, kRealmWorld);
  set(data, GranuleState::kData);
  realm->rtt.set(ipa, kPageLevel, {.ripas = Ripas::kRam, .address = data, .data = true});
  realm->measurements.data(ipa, flags, contents);
  return {};
}

std::expected<Rmm::Place, Rmm::NoPlace> Rmm::place_of(const Realm& realm, Gpa ipa) {
  const std::uint8_t level = realm.rtt.walk(ipa, kPageLevel).level;
  const Rtt::Entry entry = realm.rtt.entry(ipa, level);
  if (entry.valid())
    return Place{.page = page_of(*entry.address + (raw(ipa) & (level_bytes(level) - 1))),
                 .device = !entry.data};
  return std::unexpected(entry.ripas == Ripas::kEmpty ? NoPlace::kEmpty : NoPlace::kUnmapped);
}

std::expected<Rmm::Place, Rmm::NoPlace> Rmm::translate(Hpa rd, Gpa ipa) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  const auto realm = std::as_const(realms_).find(raw(rd));
  if (realm == realms_.end() || raw(ipa) >= Rtt::kProtected)
    return std::unexpected(NoPlace::kUnmapped);
  return place_of(realm->second, ipa);
}

/// realm_mem_lock_map(): where the realm's RAM is, which must not be device memory.
std::optional<Hpa> Rmm::realm_ram(Hpa rd, Gpa ipa) const {
  const auto place = place_of(realms_.at(raw(rd)), page_of(ipa));
  if (!place || place->device) return std::nullopt;
  return place->page + offset_in_page(ipa);
}

bool Rmm::write_realm(Hpa rd, Gpa ipa, ByteView bytes) {
  const auto at = realm_ram(rd, ipa);
  return at && memory_.write(*at, bytes, kRealmWorld).has_value();
}

}  // namespace teeio::rmm
