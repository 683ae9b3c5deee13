#include "firmware/rmm/command.h"

// A realm's vCPU: TF-RMM runtime/rmi/{rec,run}.c.

namespace teeio::rmm {

RmiResult Rmm::rec_create(Hpa rd, Hpa at) {
  Command c(*this, row::kRecCreate);
  if (!c.begin()) return c.result();
  if (!c.granule(at, GranuleState::kDelegated, "granule")) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(realm->state != RealmState::kNew, "state");
  set(at, GranuleState::kRec);
  recs_[raw(at)].rd = rd;
  ++realm->recs;
  return {};
}

RmiResult Rmm::rec_destroy(Hpa at) {
  Command c(*this, row::kRecDestroy);
  if (!c.begin()) return c.result();
  RMM_FIND(rec, c.rec(at));
  RMM_REFUSE_IF(rec->running, "running");
  --realms_.at(raw(rec->rd)).recs;
  recs_.erase(raw(at));
  set(at, GranuleState::kDelegated);
  return {};
}

/// What waits is completed in the order of smc_rec_enter(): RIPAS, device memory, VDEV.
RmiResult Rmm::rec_enter(Hpa at, std::uint64_t flags) {
  Command c(*this, row::kRecEnter);
  if (!c.begin()) return c.result();
  RMM_FIND(rec, c.rec(at));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(realms_.at(raw(rec->rd)).state != RealmState::kActive, "state");
  if (Rec::SetRipas& change = rec->set_ripas; change.base != change.top) {
    const bool rejects =
        change.wanted == Ripas::kRam && change.addr != change.top && (flags & kRejectRipas) != 0;
    rec->result = {.x1 = raw(change.addr), .x2 = rejects ? 1U : 0U};
    change = {};
  }
  // complete_dev_mem_mapping() tells from base 0 that nothing waits: an IPA of 0 is lost.
  if (Rec::DevMem& memory = rec->dev_mem; raw(memory.base) != 0) {
    const bool rejects = memory.addr != memory.top && (flags & kRejectDevMem) != 0;
    rec->result = {.x1 = raw(memory.addr), .x2 = rejects ? 1U : 0U};
    memory.base = memory.top = Gpa{0};
  }
  const RecExit exit = complete_request(*rec);
  return {.x1 = static_cast<std::uint64_t>(exit), .x2 = rec->vdev_id};
}

void Rmm::set_running(Hpa at, bool running) {
  const schedule::Lock lock(mutex_);
  const auto rec = recs_.find(raw(at));
  if (rec != recs_.end()) rec->second.running = running;
}

}  // namespace teeio::rmm
