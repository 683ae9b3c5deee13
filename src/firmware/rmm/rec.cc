#include <algorithm>

#include "firmware/rmm/command.h"

// A realm's vCPU: TF-RMM runtime/rmi/{rec,run}.c.

namespace teeio::rmm {

RmiResult Rmm::rec_create(Hpa rd, Hpa at, Hpa params) {
  Command c(*this, row::kRecCreate);
  if (!c.begin()) return c.result();
  if (!c.granule(at, GranuleState::kDelegated, "granule")) return c.result();
  RMM_FIND(operation, reserve(c, raw(at)));
  operation->object = at;
  operation->rd = rd;
  operation->params = params;
  operation->kind = GranuleState::kRecAux;
  operation->wanted = {settings_.rec_granules};
  set(at, GranuleState::kPartial);
  if (settings_.rec_granules != 0) return ask_for(*operation);
  const Check* const refused_by = rec_created(*operation);
  release(*operation);
  if (refused_by == nullptr) return {};
  set(at, GranuleState::kDelegated);
  return c.refuse(refused_by->id);
}

/// rec_create_continue(). Null: the REC is there.
const Check* Rmm::rec_created(Operation& operation) {
  const auto check = [](std::string_view id) {
    return &*std::ranges::find(row::kRecCreate.checks, id, &Check::id);
  };
  Bytes page(kPageSize);
  if (!is_page_aligned(raw(operation.params)) || !is_hosts(operation.params) ||
      !memory_.read(operation.params, page))
    return check("params");
  const auto found = realms_.find(raw(operation.rd));
  if (found == realms_.end()) return check("rd");
  Realm& realm = found->second;
  if (realm.state != RealmState::kNew) return check("state");
  const RecParams params = RecParams::decode(page);
  if (!is_rec_mpidr(params.mpidr) || rec_index(params.mpidr) != realm.next_rec)
    return check("mpidr");
  set(operation.object, GranuleState::kRec);
  Rec& rec = recs_[raw(operation.object)];
  rec.rd = operation.rd;
  rec.index = realm.next_rec++;
  rec.aux = std::exchange(operation.memory, {});
  rec.first.pc = params.pc;
  std::ranges::copy(params.gprs, rec.first.x.begin());
  rec.runnable = (params.flags & RecParams::kRunnable) != 0;
  ++realm.recs;
  if (rec.runnable) realm.measurements.rec(params);
  return nullptr;
}

RmiResult Rmm::rec_destroy(Hpa at) {
  Command c(*this, row::kRecDestroy);
  if (!c.begin()) return c.result();
  RMM_FIND(operation, reserve(c, raw(at)));
  Rec* const rec = c.rec(at);
  const bool running = rec != nullptr && rec->running;
  if (rec == nullptr || running) release(*operation);
  if (rec == nullptr) return c.result();
  RMM_REFUSE_IF(running, "running");
  operation->object = at;
  operation->kind = GranuleState::kRecAux;
  operation->memory = std::move(rec->aux);
  --realms_.at(raw(rec->rd)).recs;
  recs_.erase(raw(at));
  set(at, GranuleState::kPartial);
  if (!operation->memory.empty()) return give_back(*operation, Code::kSuccess);
  reclaimed(*operation);
  release(*operation);
  return {};
}

RmiResult Rmm::rec_enter(Hpa at, std::uint64_t flags) {
  Command c(*this, row::kRecEnter);
  if (!c.begin()) return c.result();
  RMM_FIND(rec, c.rec(at));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(realm_of(*rec).state != RealmState::kActive, "state");
  RMM_REFUSE_IF(!rec->runnable, "runnable");
  RMM_REFUSE_IF(rec->pending == Rec::Pending::kPsciComplete, "psci");
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
  if (const auto result = std::exchange(rec.psci_result, std::nullopt)) {
    rec.result = {.x1 = *result};
    if (registers != nullptr) std::ranges::copy(PsciCall{*result}, registers->x.begin());
  }
  if (rec.pending == Rec::Pending::kNone) return RecExit::kRealm;
  const RecExit exit = complete_request(rec);
  if (registers != nullptr && exit != RecExit::kSync)
    registers->x[0] = static_cast<std::uint64_t>(rec.result.code);
  return exit;
}

void Rmm::set_running(Hpa at, bool running) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  const auto rec = recs_.find(raw(at));
  if (rec != recs_.end()) rec->second.running = running;
}

}  // namespace teeio::rmm
