#include <fmt/format.h>

#include <algorithm>

#include "firmware/rmm/command.h"

// Device memory of a realm: TF-RMM runtime/rmi/rtt_map.c, rtt_unmap.c.

namespace teeio::rmm {
namespace {

object::EventFields place(Gpa ipa) { return {.detail = fmt::format("ipa={:#x}", raw(ipa))}; }

}  // namespace

RmiResult Rmm::rtt_dev_map(Hpa rd, Hpa vdev, Gpa ipa, Hpa address) {
  Command c(*this, "RMI_RTT_DEV_MAP", place(ipa));
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
  if (realm->rtt.contains(raw(ipa))) return c.refuse(Code::kRtt, "the entry is in use");
  if (!c.granule(address, GranuleState::kDelegated)) return c.result();
  set(address, GranuleState::kMapped);
  realm->rtt.emplace(raw(ipa), Realm::Entry{.address = address, .tdi = owner->params.tdi});
  trace_.fact(object::Lane::kFirmware, object::Fact::kMmioMapped, "MMIO mapped",
              {.function = owner->params.tdi, .vm = realm->vm, .a = raw(ipa), .b = raw(address)});
  return {};
}

RmiResult Rmm::rtt_dev_validate(Hpa rd, Gpa ipa, Hpa address) {
  Command c(*this, "RMI_RTT_DEV_VALIDATE", place(ipa));
  RMM_FIND(realm, c.realm(rd));
  const auto entry = realm->rtt.find(raw(ipa));
  if (entry == realm->rtt.end() || entry->second.validated || entry->second.address != address)
    return c.refuse(Code::kRtt, "the entry does not map the PA with RIPAS EMPTY");
  entry->second.validated = true;
  return {};
}

RmiResult Rmm::rtt_dev_unmap(Hpa rd, Gpa ipa) {
  Command c(*this, "RMI_RTT_DEV_UNMAP", place(ipa));
  RMM_FIND(realm, c.realm(rd));
  const auto at = realm->rtt.find(raw(ipa));
  if (at == realm->rtt.end()) return c.refuse(Code::kRtt, "the entry maps no device");
  const Realm::Entry entry = at->second;
  realm->rtt.erase(at);
  set(entry.address, GranuleState::kDelegated);
  trace_.fact(object::Lane::kFirmware, object::Fact::kMmioUnmapped, "MMIO unmapped",
              {.function = entry.tdi, .vm = realm->vm, .a = raw(ipa), .b = raw(entry.address)});
  return {.x1 = raw(entry.address)};
}

}  // namespace teeio::rmm
