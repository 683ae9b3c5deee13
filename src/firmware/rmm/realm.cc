#include <algorithm>

#include "firmware/rmm/command.h"
#include "firmware/rmm/rtt.h"

// Granules and realms: TF-RMM runtime/rmi/granule.c and realm.c.

namespace teeio::rmm {
namespace {

constexpr std::size_t kVmids = 255;

bool is_range(Hpa base, Hpa top) {
  return is_page_aligned(raw(base) | raw(top)) && top >= base + kPageSize &&
         base + kPageSize > base;
}

/// generate_realm_instance_id(). A counter stands in for the source's random numbers.
RealmIdentity identity_of(const Rmm::RealmParams& params, std::uint64_t number) {
  RealmIdentity identity{.personalisation = params.personalisation};
  identity.instance[0] = std::byte{1};  // RAND
  const auto digest = crypto::hash(crypto::HashAlgorithm::kSha256, bytes_of(number));
  std::ranges::copy(digest.view(), identity.instance.begin() + 1);
  return identity;
}

Measurements measurements_of(const Rmm::RealmParams& params) {
  Measurements measurements{HashAlgorithm(params.hash)};
  measurements.realm({.flags = params.devices ? RealmFeatures::kDevices : 0,
                      .address_bits = Rtt::kAddressBits,
                      .breakpoints = params.breakpoints,
                      .watchpoints = params.watchpoints,
                      .hash = params.hash});
  return measurements;
}

}  // namespace

RmiResult Rmm::granule_range_delegate(Hpa base, Hpa top) {
  Command c(*this, row::kGranuleRangeDelegate);
  if (!c.begin()) return c.result();
  if (!is_range(base, top)) return c.refuse("range", raw(base));
  const bool ram = base >= hw::PhysicalMemory::kRamBase && base < hw::PhysicalMemory::kWindowBase &&
                   !memory_.direct(base).empty();
  if ((!ram && !memory_.is_mmio(base)) || state_of(base) != GranuleState::kNs)
    return c.refuse("granule", raw(base));
  set(base, GranuleState::kDelegated);
  memory_.give_page(base, kRealmWorld);
  return {.x1 = raw(base + kPageSize)};
}

RmiResult Rmm::granule_range_undelegate(Hpa base, Hpa top) {
  Command c(*this, row::kGranuleRangeUndelegate);
  if (!c.begin()) return c.result();
  if (!is_range(base, top)) return c.refuse("range", raw(base));
  if (state_of(base) != GranuleState::kDelegated) return c.refuse("granule", raw(base));
  granules_.erase(raw(base));
  memory_.give_page(base, hw::KeyId::kShared);
  return {.x1 = raw(base + kPageSize)};
}

RmiResult Rmm::realm_create(Hpa rd, const RealmParams& params) {
  Command c(*this, row::kRealmCreate, {.vm = params.vm});
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(params.devices && !settings_.device_assignment, "da");
  RMM_REFUSE_IF(params.hash > static_cast<std::uint8_t>(HashAlgorithm::kSha384), "hash");
  std::uint8_t vmid = 1;
  while (std::ranges::any_of(std::as_const(realms_),
                             [&](const auto& r) { return r.second.vmid == vmid; }))
    ++vmid;
  RMM_REFUSE_IF(realms_.size() >= kVmids, "vmid");
  if (!c.granule(params.rtt, GranuleState::kDelegated, "rtt")) return c.result();
  RMM_REFUSE_IF(rd == params.rtt, "granule");
  if (!c.granule(rd, GranuleState::kDelegated, "granule")) return c.result();
  set(rd, GranuleState::kRd);
  set(params.rtt, GranuleState::kRtt);
  (void)memory_.write(params.rtt, Bytes(kPageSize), kRealmWorld);
  touch(kRealmsMade, How::kWrite);
  realms_.try_emplace(raw(rd), Realm{.vm = params.vm,
                                     .devices = params.devices,
                                     .root = params.rtt,
                                     .vmid = vmid,
                                     .rtt = Rtt(memory_, params.rtt),
                                     .measurements = measurements_of(params),
                                     .identity = identity_of(params, realms_made_++)});
  return {};
}

RmiResult Rmm::realm_activate(Hpa rd) {
  Command c(*this, row::kRealmActivate);
  if (!c.begin()) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(realm->state != RealmState::kNew, "state");
  realm->state = RealmState::kActive;
  return {};
}

RmiResult Rmm::realm_terminate(Hpa rd) {
  Command c(*this, row::kRealmTerminate);
  if (!c.begin()) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(std::ranges::any_of(
                    std::as_const(recs_),
                    [&](const auto& rec) { return rec.second.rd == rd && rec.second.running; }),
                "running");
  realm->state = RealmState::kZombie;
  return {};
}

RmiResult Rmm::realm_destroy(Hpa rd) {
  Command c(*this, row::kRealmDestroy);
  if (!c.begin()) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(realm->recs != 0, "recs");
  RMM_REFUSE_IF(realm->state != RealmState::kZombie, "state");
  RMM_REFUSE_IF(realm->rtt.live(Gpa{0}, Rtt::kRootLevel), "rtt");
  RMM_REFUSE_IF(realm->vdevs != 0, "vdevs");
  invalidate(*realm);
  set(realm->root, GranuleState::kDelegated);
  realms_.erase(raw(rd));
  set(rd, GranuleState::kDelegated);
  return {};
}

}  // namespace teeio::rmm
