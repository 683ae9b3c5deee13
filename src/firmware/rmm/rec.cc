#include "base/check.h"
#include "firmware/rmm/command.h"

// A realm's vCPU and what it asks about devices: TF-RMM runtime/rmi/{rec,run,vdev}.c,
// runtime/rsi/vdev.c.

namespace teeio::rmm {

RmiResult Rmm::rec_create(Hpa rd, Hpa at) {
  Command c(*this, RMI_NAME("RMI_REC_CREATE"));
  if (!c.granule(at, GranuleState::kDelegated)) return c.result();
  RMM_FIND(realm, c.realm(rd));
  if (realm->state != RealmState::kNew) return c.refuse(Code::kRealm, "the realm is not NEW");
  set(at, GranuleState::kRec);
  recs_.emplace(raw(at), Rec{.rd = rd});
  ++realm->recs;
  return {};
}

RmiResult Rmm::rec_destroy(Hpa at) {
  Command c(*this, RMI_NAME("RMI_REC_DESTROY"));
  RMM_FIND(rec, c.rec(at));
  --c.realm(rec->rd)->recs;
  recs_.erase(raw(at));
  set(at, GranuleState::kDelegated);
  return {};
}

RsiResult Rmm::rsi_vdev_validate_mapping(Hpa at, std::uint64_t vdev_id, Gpa base, Gpa top, Hpa pa) {
  Command c(*this, "RSI_VDEV_VALIDATE_MAPPING");
  Rec* const rec = c.rec(at);
  TEEIO_CHECK(rec != nullptr, "a realm's call comes from its REC");
  rec->request.reset();
  rec->dev_mem.reset();
  if (!is_page_aligned(raw(base) | raw(top) | raw(pa)) || top <= base) {
    (void)c.refuse(Code::kInput, "the range is empty or not aligned");
    return rec->result = {.code = RsiCode::kInput};
  }
  rec->request = {.vdev_id = vdev_id, .base = base, .top = top, .pa = pa};
  return rec->result = {.code = RsiCode::kIncomplete};
}

RsiResult Rmm::rsi_result(Hpa at) {
  const schedule::Lock lock(mutex_);
  const auto rec = recs_.find(raw(at));
  return rec == recs_.end() ? RsiResult{.code = RsiCode::kState} : rec->second.result;
}

RmiResult Rmm::vdev_complete(Hpa rec_at, Hpa vdev_at) {
  Command c(*this, "RMI_VDEV_COMPLETE", vdev_at);
  RMM_FIND(rec, c.rec(rec_at));
  RMM_FIND(vdev, c.find(vdevs_, vdev_at, GranuleState::kVdev));
  if (!rec->request || rec->request->vdev)
    return c.refuse(Code::kInput, "the REC has no pending request");
  if (vdev->rd != rec->rd || vdev->params.id != rec->request->vdev_id)
    return c.refuse(Code::kInput, "the realm means another VDEV");
  if (vdev->comm.state != Comm::State::kIdle) return c.refuse(Code::kDevice, "the VDEV is busy");
  rec->request->vdev = vdev_at;
  return {};
}

std::optional<Rmm::RsiVdevInfo> Rmm::rsi_vdev_info(Hpa rd, std::uint64_t id) {
  const schedule::Lock lock(mutex_);
  for (const auto& [at, vdev] : vdevs_)
    if (vdev.rd == rd && vdev.params.id == id)
      return RsiVdevInfo{.vdev = Hpa{at}, .nonce = vdev.nonce};
  return std::nullopt;
}

/// Source: run.c, and rsi/vdev.c, finish_rsi_vdev_validate_mapping().
RmiResult Rmm::rec_enter(Hpa at) {
  Command c(*this, "RMI_REC_ENTER");
  RMM_FIND(rec, c.rec(at));
  if (c.realm(rec->rd)->state != RealmState::kActive)
    return c.refuse(Code::kRealm, "the realm is not ACTIVE");
  if (rec->request) {
    const Rec::Request request = *std::exchange(rec->request, std::nullopt);
    const auto vdev = request.vdev ? vdevs_.find(raw(*request.vdev)) : vdevs_.end();
    if (vdev == vdevs_.end() ||
        (vdev->second.state != VdevState::kLocked && vdev->second.state != VdevState::kStarted)) {
      rec->result = {.code = RsiCode::kInput};
      return {};
    }
    rec->dev_mem = {
        .base = request.base, .top = request.top, .addr = request.base, .pa = request.pa};
    return {.x1 = static_cast<std::uint64_t>(RecExit::kDevMemMap)};
  }
  // A guess: the record is cleared when the realm goes on, as run.c does for RIPAS.
  if (rec->dev_mem) {
    rec->result = {.code = RsiCode::kSuccess, .x1 = raw(rec->dev_mem->addr)};
    rec->dev_mem.reset();
  }
  return {};
}

}  // namespace teeio::rmm
