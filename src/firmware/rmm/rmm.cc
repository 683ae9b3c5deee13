#include <algorithm>

#include "firmware/rmm/command.h"

// Granules and realms: TF-RMM runtime/rmi/granule.c and realm.c.

namespace teeio::rmm {
namespace {

constexpr hw::KeyId kRealmWorld{1};

}  // namespace

std::string_view code_name(Code code) {
  constexpr std::pair<Code, std::string_view> kNames[] = {
      {Code::kSuccess, "RMI_SUCCESS"},   {Code::kInput, "RMI_ERROR_INPUT"},
      {Code::kRealm, "RMI_ERROR_REALM"}, {Code::kRec, "RMI_ERROR_REC"},
      {Code::kRtt, "RMI_ERROR_RTT"},     {Code::kDevice, "RMI_ERROR_DEVICE"},
      {Code::kBusy, "RMI_BUSY"},         {Code::kGranule, "RMI_ERROR_GRANULE"}};
  for (const auto& [known, name] : kNames)
    if (known == code) return name;
  return "RMI_ERROR_UNKNOWN";
}

void Rmm::set(Hpa granule, GranuleState state) { granules_[raw(granule)] = state; }

GranuleState Rmm::state_of(Hpa granule) const {
  const auto found = granules_.find(raw(granule));
  return found == granules_.end() ? GranuleState::kNs : found->second;
}

object::EventFields Rmm::about(Hpa object) const {
  if (const auto pdev = pdevs_.find(raw(object)); pdev != pdevs_.end())
    return {.function = pdev->second.params.function};
  const auto vdev = vdevs_.find(raw(object));
  if (vdev == vdevs_.end()) return {};
  return {.function = vdev->second.params.tdi, .vm = realms_.at(raw(vdev->second.rd)).vm};
}

std::size_t Rmm::granules() {
  const schedule::Lock lock(mutex_);
  return granules_.size();
}

RmiResult Rmm::granule_delegate(Hpa granule) {
  Command c(*this, RMI_NAME("RMI_GRANULE_DELEGATE"));
  if (!c.granule(granule, GranuleState::kNs)) return c.result();
  const bool ram = granule >= hw::PhysicalMemory::kRamBase &&
                   granule < hw::PhysicalMemory::kWindowBase && !memory_.direct(granule).empty();
  const bool mmio = memory_.is_mmio(granule);
  if (!ram && !mmio) return c.refuse(Code::kInput, "there is no such granule");
  set(granule, GranuleState::kDelegated);
  if (!mmio) memory_.set_key(granule, kRealmWorld);
  return {};
}

RmiResult Rmm::granule_undelegate(Hpa granule) {
  Command c(*this, RMI_NAME("RMI_GRANULE_UNDELEGATE"));
  if (!c.granule(granule, GranuleState::kDelegated)) return c.result();
  granules_.erase(raw(granule));
  if (memory_.is_mmio(granule)) return {};
  (void)memory_.write(granule, Bytes(kPageSize), kRealmWorld);
  memory_.set_key(granule, hw::KeyId::kShared);
  return {};
}

RmiResult Rmm::realm_create(Hpa rd, std::uint32_t vm) {
  Command c(*this, RMI_NAME("RMI_REALM_CREATE"), {.vm = vm});
  if (!c.granule(rd, GranuleState::kDelegated)) return c.result();
  set(rd, GranuleState::kRd);
  realms_.emplace(raw(rd), Realm{.vm = vm});
  return {};
}

RmiResult Rmm::realm_activate(Hpa rd) {
  Command c(*this, RMI_NAME("RMI_REALM_ACTIVATE"));
  RMM_FIND(realm, c.realm(rd));
  if (realm->state != RealmState::kNew) return c.refuse(Code::kRealm, "the realm is not NEW");
  realm->state = RealmState::kActive;
  return {};
}

RmiResult Rmm::realm_terminate(Hpa rd) {
  Command c(*this, "RMI_REALM_TERMINATE");
  RMM_FIND(realm, c.realm(rd));
  realm->state = RealmState::kZombie;
  return {};
}

RmiResult Rmm::realm_destroy(Hpa rd) {
  Command c(*this, RMI_NAME("RMI_REALM_DESTROY"));
  RMM_FIND(realm, c.realm(rd));
  if (realm->state != RealmState::kZombie)
    return c.refuse(Code::kRealm, "the realm was not terminated");
  if (realm->recs != 0) return c.refuse(Code::kRealm, "the realm has RECs");
  if (std::ranges::any_of(realm->rtt, [](const auto& e) { return e.second.address.has_value(); }))
    return c.refuse(Code::kRealm, "the realm's RTT is in use");
  if (realm->vdevs != 0) return c.refuse(Code::kRealm, "the realm has VDEVs");
  realms_.erase(raw(rd));
  set(rd, GranuleState::kDelegated);
  return {};
}

}  // namespace teeio::rmm
