#include "firmware/rmm/command.h"

// SMMUs: TF-RMM runtime/rmi/psmmu.c, lib/smmuv3/src/smmuv3_psmmu.c.

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kAts = 1U << 1U;
constexpr std::uint64_t kPri = 1U << 2U;
/// 1024 level-1 entries of 8 bytes; the command and the event queue.
constexpr std::uint64_t kFirstGranules[] = {2, 1, 1};

/// smmuv3_psmmu_validate_sid().
bool begins_table(std::uint64_t sid) {
  return sid % Psmmu::kTableEntries == 0 && sid < std::uint64_t{1} << Psmmu::kSidBits;
}

}  // namespace

RmiResult Rmm::psmmu_activate(Hpa at, Hpa params_at) {
  Command c(*this, row::kPsmmuActivate);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!settings_.device_assignment, "feature");
  const auto found = psmmus_.find(raw(at));
  RMM_REFUSE_IF(found == psmmus_.end(), "psmmu");
  Psmmu& psmmu = found->second;
  const Bytes page = c.page(params_at, "params");
  if (page.empty()) return c.result();
  RMM_REFUSE_IF((PsmmuParams::decode(page).flags & (kAts | kPri)) != 0, "flags");
  RMM_REFUSE_IF(psmmu.state != Psmmu::State::kInactive, "state");
  RMM_FIND(operation, reserve(c));
  psmmu.state = Psmmu::State::kBusy;
  operation->psmmu = &psmmu;
  operation->kind = GranuleState::kInternal;
  operation->contiguous = true;
  operation->wanted.assign(std::begin(kFirstGranules), std::end(kFirstGranules));
  return ask_for(*operation);
}

Code Rmm::psmmu_activated(Operation& operation) {
  operation.psmmu->memory = std::exchange(operation.memory, {});
  operation.psmmu->state = Psmmu::State::kActive;
  return Code::kSuccess;
}

RmiResult Rmm::psmmu_deactivate(Hpa at) {
  Command c(*this, row::kPsmmuDeactivate);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!settings_.device_assignment, "feature");
  const auto found = psmmus_.find(raw(at));
  RMM_REFUSE_IF(found == psmmus_.end(), "psmmu");
  Psmmu& psmmu = found->second;
  RMM_REFUSE_IF(psmmu.state != Psmmu::State::kActive, "state");
  RMM_FIND(operation, reserve(c));
  if (!psmmu.tables.empty()) {
    *operation = {};
    return c.refuse("tables");
  }
  psmmu.state = Psmmu::State::kBusy;
  operation->psmmu = &psmmu;
  operation->kind = GranuleState::kInternal;
  operation->memory = std::exchange(psmmu.memory, {});
  return give_back(*operation, Code::kSuccess);
}

RmiResult Rmm::psmmu_st_l2_create(Hpa at, std::uint64_t sid) {
  Command c(*this, row::kPsmmuStL2Create);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!settings_.device_assignment, "feature");
  const auto found = psmmus_.find(raw(at));
  RMM_REFUSE_IF(found == psmmus_.end(), "psmmu");
  RMM_REFUSE_IF(!begins_table(sid), "sid");
  RMM_FIND(operation, reserve(c));
  operation->psmmu = &found->second;
  operation->sid = sid;
  operation->kind = GranuleState::kInternal;
  operation->contiguous = true;
  operation->wanted = {1};
  return ask_for(*operation);
}

Code Rmm::table_created(Operation& operation) {
  Psmmu& psmmu = *operation.psmmu;
  if (psmmu.state != Psmmu::State::kActive || psmmu.tables.contains(operation.sid))
    return Code::kInput;
  psmmu.tables[operation.sid].granule = operation.memory.front();
  operation.memory.clear();
  return Code::kSuccess;
}

RmiResult Rmm::psmmu_st_l2_destroy(Hpa at, std::uint64_t sid) {
  Command c(*this, row::kPsmmuStL2Destroy);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!settings_.device_assignment, "feature");
  const auto found = psmmus_.find(raw(at));
  RMM_REFUSE_IF(found == psmmus_.end(), "psmmu");
  RMM_REFUSE_IF(!begins_table(sid), "sid");
  RMM_FIND(operation, reserve(c));
  auto& tables = found->second.tables;
  const auto table = tables.find(sid);
  if (table == tables.end() || !table->second.entries.empty()) {
    *operation = {};
    return c.refuse("table");
  }
  operation->psmmu = &found->second;
  operation->kind = GranuleState::kInternal;
  operation->memory = {table->second.granule};
  tables.erase(table);
  return give_back(*operation, Code::kSuccess);
}

}  // namespace teeio::rmm
