#include <fmt/format.h>

#include <algorithm>

#include "firmware/rmm/command.h"
#include "firmware/rmm/mapping.h"

// Device memory of a realm: TF-RMM runtime/rmi/rtt_map.c, rtt_unmap.c and rtt.c.

namespace teeio::rmm {
namespace {

using object::Fact;

object::EventFields place(Gpa ipa) { return {.detail = fmt::format("ipa={:#x}", raw(ipa))}; }

bool inside(const std::vector<PaRange>& ranges, Hpa block, std::uint64_t bytes) {
  return std::ranges::any_of(ranges, [&](const PaRange& range) {
    return block >= range.base && block < range.top && raw(range.top) - raw(block) >= bytes;
  });
}

}  // namespace

/// dev_map_one_entry() and dev_map_drain_pending(); empty: mapped.
std::string_view Rmm::map_block(Realm& realm, const Vdev& vdev, Gpa ipa, Hpa block,
                                std::uint8_t level) {
  const std::uint64_t bytes = level_bytes(level);
  if (!inside(vdev.params.ranges, block, bytes)) return "outside";
  Rtt::Entry entry = realm.rtt.entry(ipa, level);
  const bool table =
      level < kPageLevel && realm.rtt.has_table(ipa, static_cast<std::uint8_t>(level + 1));
  if (table || entry.address || (entry.ripas != Ripas::kEmpty && entry.ripas != Ripas::kDestroyed))
    return "entry";
  for (std::uint64_t at = 0; at < bytes; at += kPageSize)
    if (!memory_.is_mmio(block + at) || state_of(block + at) != GranuleState::kDelegated)
      return "granule";
  for (std::uint64_t at = 0; at < bytes; at += kPageSize) {
    set(block + at, GranuleState::kMapped);
    trace_.fact(object::Lane::kFirmware, Fact::kMmioMapped, "MMIO mapped",
                {.function = vdev.tdi, .vm = realm.vm, .a = raw(ipa + at), .b = raw(block + at)});
  }
  entry.address = block;
  entry.tdi = vdev.tdi;
  realm.rtt.set(ipa, level, entry);
  return {};
}

RmiResult Rmm::rtt_dev_map(Hpa rd, Hpa vdev_at, Gpa base, Gpa top, AddressFlags flags,
                           std::uint64_t addresses) {
  Command c(*this, row::kRttDevMap, place(base));
  if (!c.begin()) return c.result();
  const auto range = map_range(c, rd, base, top, flags, addresses, Memory::kDevice);
  if (!range) return c.result();
  RMM_FIND(vdev, c.vdev(vdev_at));
  RMM_REFUSE_IF(vdev->rd != rd, "foreign");
  return map_blocks(c, *range, [&](Gpa ipa, Hpa block) {
    return map_block(*range->realm, *vdev, ipa, block, range->level);
  });
}

/// Takes what an entry maps out of it; what the realm had taken into use is DESTROYED, and what
/// is shared has no state of its own.
void Rmm::unmap_entry(Realm& realm, Gpa ipa, std::uint8_t level) {
  const Rtt::Entry entry = realm.rtt.entry(ipa, level);
  realm.rtt.set(ipa, level,
                {.ripas = entry.ripas == Ripas::kEmpty ? Ripas::kEmpty : Ripas::kDestroyed});
  for (std::uint64_t at = 0; at < level_bytes(level); at += kPageSize) {
    const Hpa granule = *entry.address + at;
    if (entry.valid()) invalidate(realm, ipa + at);
    if (entry.shared) continue;
    set(granule, GranuleState::kDelegated);
    if (entry.data) continue;
    trace_.fact(object::Lane::kFirmware, Fact::kMmioUnmapped, "MMIO unmapped",
                {.function = entry.tdi, .vm = realm.vm, .a = raw(ipa + at), .b = raw(granule)});
  }
}

RmiResult Rmm::rtt_dev_unmap(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                             std::uint64_t addresses) {
  Command c(*this, row::kRttDevUnmap, place(base));
  return unmap_range(c, rd, base, top,
                     {.flags = flags, .addresses = addresses, .memory = Memory::kDevice});
}

RmiResult Rmm::rtt_dev_validate(Hpa rd, Hpa rec_at, Gpa base, Gpa top) {
  Command c(*this, row::kRttDevValidate, place(base));
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(top <= base || !is_page_aligned(raw(top)), "range");
  RMM_FIND(realm, c.realm(rd, "rd_rec"));
  RMM_FIND(rec, c.rec(rec_at, "rd_rec"));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(rec->rd != rd, "foreign");
  RMM_REFUSE_IF(rec->dev_mem.addr != base || top > rec->dev_mem.top, "request");
  const std::uint8_t level = realm->rtt.walk(base, kPageLevel).level;
  const std::uint64_t bytes = level_bytes(level);
  if (raw(base) % bytes != 0) return c.refuse("walk", 0, level);
  const std::uint64_t end = std::min(raw(top) - raw(base), to_table_end(base, level));
  std::uint64_t done = 0;
  for (; done + bytes <= end; done += bytes) {
    Rtt::Entry entry = realm->rtt.entry(base + done, level);
    if (entry.address != rec->dev_mem.pa + done || entry.data || entry.ripas != Ripas::kEmpty)
      break;
    entry.ripas = Ripas::kDev;
    realm->rtt.set(base + done, level, entry);
  }
  if (done == 0) return c.refuse("entry", 0, level);
  rec->dev_mem.addr = base + done;
  rec->dev_mem.pa = rec->dev_mem.pa + done;
  return {.x1 = raw(base) + done};
}

}  // namespace teeio::rmm
