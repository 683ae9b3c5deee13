#include <algorithm>

#include "firmware/rmm/command.h"

// A realm's vCPU: TF-RMM runtime/rmi/{rec,run}.c.

namespace teeio::rmm {

RmiResult Rmm::rec_create(Hpa rd, Hpa at, const RecParams& params) {
  Command c(*this, row::kRecCreate);
  if (!c.begin()) return c.result();
  if (!c.granule(at, GranuleState::kDelegated, "granule")) return c.result();
  RMM_FIND(realm, c.realm(rd));
  RMM_REFUSE_IF(realm->state != RealmState::kNew, "state");
  set(at, GranuleState::kRec);
  Rec& rec = recs_[raw(at)];
  rec.rd = rd;
  rec.first.pc = params.pc;
  std::ranges::copy(params.gprs, rec.first.x.begin());
  ++realm->recs;
  realm->measurements.rec(params);
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

RmiResult Rmm::rec_enter(Hpa at, std::uint64_t flags) {
  Command c(*this, row::kRecEnter);
  if (!c.begin()) return c.result();
  RMM_FIND(rec, c.rec(at));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(realms_.at(raw(rec->rd)).state != RealmState::kActive, "state");
  const RecExit exit = resume(*rec, flags, nullptr);
  return {.x1 = static_cast<std::uint64_t>(exit), .x2 = rec->vdev_id};
}

/// What waits is completed in the order of smc_rec_enter(): RIPAS, device memory, VDEV.
RecExit Rmm::resume(Rec& rec, std::uint64_t flags, hw::ArmRegisters* registers) {
  const auto answer = [&](std::uint64_t base, bool rejects) {
    rec.result = {.x1 = base, .x2 = rejects ? 1U : 0U};
    if (registers == nullptr) return;
    registers->x[0] = 0;
    registers->x[1] = rec.result.x1;
    registers->x[2] = rec.result.x2;
  };
  if (Rec::SetRipas& change = rec.set_ripas; change.base != change.top) {
    answer(raw(change.addr), change.wanted == Ripas::kRam && change.addr != change.top &&
                                 (flags & kRejectRipas) != 0);
    change = {};
  }
  // complete_dev_mem_mapping() tells from base 0 that nothing waits: an IPA of 0 is lost.
  if (Rec::DevMem& memory = rec.dev_mem; raw(memory.base) != 0) {
    answer(raw(memory.addr), memory.addr != memory.top && (flags & kRejectDevMem) != 0);
    memory.base = memory.top = Gpa{0};
  }
  if (rec.pending == Rec::Pending::kNone) return RecExit::kRealm;
  const RecExit exit = complete_request(rec);
  if (registers != nullptr && exit != RecExit::kSync)
    registers->x[0] = static_cast<std::uint64_t>(rec.result.code);
  return exit;
}

void Rmm::set_running(Hpa at, bool running) {
  const schedule::Lock lock(mutex_);
  const auto rec = recs_.find(raw(at));
  if (rec != recs_.end()) rec->second.running = running;
}

}  // namespace teeio::rmm
