#include <fmt/format.h>

#include <algorithm>

#include "firmware/rmm/command.h"

// Device memory of a realm: TF-RMM runtime/rmi/rtt_map.c, rtt_unmap.c.

namespace teeio::rmm {
namespace {

object::EventFields place(Gpa ipa) { return {.detail = fmt::format("ipa={:#x}", raw(ipa))}; }

}  // namespace

RmiResult Rmm::rtt_dev_map(Hpa rd, Hpa vdev, Gpa ipa, Hpa address) {
  Command c(*this, RMI_NAME("RMI_RTT_DEV_MAP"), place(ipa));
  RMM_FIND(realm, c.realm(rd));
  if (realm->state == RealmState::kZombie)
    return c.refuse(Code::kRealm, "the realm was terminated");
  if (!is_page_aligned(raw(ipa))) return c.refuse(Code::kInput, "the IPA is not aligned");
  RMM_FIND(owner, c.find(vdevs_, vdev, GranuleState::kVdev));
  if (owner->rd != rd) return c.refuse(Code::kInput, "the VDEV is another realm's");
  if (std::ranges::none_of(owner->params.ranges, [&](const PaRange& range) {
        return address >= range.base && address < range.top;
      }))
    return c.refuse(Code::kInput, "the PA is outside of the VDEV's ranges");
  const auto at = realm->rtt.find(raw(ipa));
  if (at != realm->rtt.end() && at->second.address)
    return c.refuse(Code::kRtt, "the entry is in use");
  if (!c.granule(address, GranuleState::kDelegated)) return c.result();
  set(address, GranuleState::kMapped);
  Realm::Entry& entry = realm->rtt[raw(ipa)];
  entry.address = address;
  entry.tdi = owner->params.tdi;
  trace_.fact(object::Lane::kFirmware, object::Fact::kMmioMapped, "MMIO mapped",
              {.function = owner->params.tdi, .vm = realm->vm, .a = raw(ipa), .b = raw(address)});
  return {};
}

/// Source: rtt.c, smc_rtt_dev_validate(), rtt_dev_mem_set_range() and rtt_dev_mem_set().
RmiResult Rmm::rtt_dev_validate(Hpa rd, Hpa rec_at, Gpa base, Gpa top) {
  Command c(*this, RMI_NAME("RMI_RTT_DEV_VALIDATE"), place(base));
  if (top <= base || !is_page_aligned(raw(top)))
    return c.refuse(Code::kInput, "the range is empty or not aligned");
  RMM_FIND(realm, c.realm(rd));
  RMM_FIND(rec, c.rec(rec_at));
  if (rec->rd != rd) return c.refuse(Code::kRec, "the REC is another realm's");
  if (!rec->dev_mem || rec->dev_mem->addr != base || top > rec->dev_mem->top)
    return c.refuse(Code::kInput, "the realm has not asked for that");
  Rec::DevMem& wanted = *rec->dev_mem;
  for (; wanted.addr < top; wanted.addr = wanted.addr + kPageSize) {
    const auto entry = realm->rtt.find(raw(wanted.addr));
    if (entry == realm->rtt.end() || entry->second.address != wanted.pa ||
        entry->second.ripas != Realm::Ripas::kEmpty)
      break;
    entry->second.ripas = Realm::Ripas::kDev;
    wanted.pa = wanted.pa + kPageSize;
  }
  if (wanted.addr == base)
    return c.refuse(Code::kRtt, "the entry does not map the PA with RIPAS EMPTY");
  return {.x1 = raw(wanted.addr)};
}

/// Source: s2tt/rtt_unmap.c, unmap_make_new_s2tte().
RmiResult Rmm::rtt_dev_unmap(Hpa rd, Gpa ipa) {
  Command c(*this, RMI_NAME("RMI_RTT_DEV_UNMAP"), place(ipa));
  RMM_FIND(realm, c.realm(rd));
  const auto at = realm->rtt.find(raw(ipa));
  if (at == realm->rtt.end() || !at->second.address) return {};
  const Hpa address = *at->second.address;
  const Bdf tdi = at->second.tdi;
  if (at->second.ripas == Realm::Ripas::kEmpty)
    realm->rtt.erase(at);
  else
    at->second = {.ripas = Realm::Ripas::kDestroyed};
  set(address, GranuleState::kDelegated);
  trace_.fact(object::Lane::kFirmware, object::Fact::kMmioUnmapped, "MMIO unmapped",
              {.function = tdi, .vm = realm->vm, .a = raw(ipa), .b = raw(address)});
  return {.x1 = raw(address)};
}

}  // namespace teeio::rmm
