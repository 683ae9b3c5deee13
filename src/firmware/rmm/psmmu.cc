#include "firmware/rmm/command.h"

// SMMUs: TF-RMM runtime/rmi/psmmu.c, lib/smmuv3/src/smmuv3_psmmu.c.

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kAts = 1U << 1U;
constexpr std::uint64_t kPri = 1U << 2U;
/// 1024 level-1 entries of 8 bytes; the command and the event queue.
constexpr std::uint64_t kFirstGranules[] = {2, 1, 1};
constexpr unsigned kCommandsLog2 = 8;  // of a granule
constexpr unsigned kEventsLog2 = 7;

/// smmuv3_psmmu_validate_sid().
bool begins_table(std::uint64_t sid) {
  return sid % Psmmu::kTableEntries == 0 && sid < std::uint64_t{1} << Psmmu::kSidBits;
}

Hpa level1_entry(const Psmmu& psmmu, std::uint64_t sid) {
  return psmmu.memory[0] + sid / Psmmu::kTableEntries * sizeof(std::uint64_t);
}

}  // namespace

RmiResult Rmm::psmmu_activate(Hpa at, Hpa params_at) {
  Command c(*this, row::kPsmmuActivate);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!settings_.device_assignment, "feature");
  touch(kPsmmus, How::kWrite);
  const auto found = psmmus_.find(raw(at));
  RMM_REFUSE_IF(found == psmmus_.end(), "psmmu");
  Psmmu& psmmu = found->second;
  const Bytes page = c.page(params_at, "params");
  if (page.empty()) return c.result();
  RMM_REFUSE_IF((PsmmuParams::decode(page).flags & (kAts | kPri)) != 0, "flags");
  RMM_REFUSE_IF(psmmu.state != Psmmu::State::kInactive, "state");
  RMM_FIND(operation, reserve(c, raw(at)));
  psmmu.state = Psmmu::State::kBusy;
  operation->psmmu = &psmmu;
  operation->kind = GranuleState::kInternal;
  operation->contiguous = true;
  operation->wanted.assign(std::begin(kFirstGranules), std::end(kFirstGranules));
  return ask_for(*operation);
}

/// smmuv3_psmmu_activate().
Code Rmm::psmmu_activated(Operation& operation) {
  touch(kPsmmus, How::kWrite);
  Psmmu& psmmu = *operation.psmmu;
  psmmu.memory = std::exchange(operation.memory, {});
  psmmu.state = Psmmu::State::kActive;
  psmmu.prod = 0;
  for (const Hpa granule : psmmu.memory)
    (void)memory_.write(granule, Bytes(kPageSize), kRealmWorld);
  if (psmmu.hardware == nullptr) return Code::kSuccess;
  psmmu.hardware->enable({.stream_table = psmmu.memory[0],
                          .sid_bits = Psmmu::kSidBits,
                          .commands = psmmu.memory[2],
                          .events = psmmu.memory[3],
                          .commands_log2 = kCommandsLog2,
                          .events_log2 = kEventsLog2});
  return Code::kSuccess;
}

/// prepare_send_command() and its SYNC. A failure is a panic in the source: no command of
/// the monitor's is one that an SMMU does not know. In which order a queue has them, and caches
/// forget, is not to be seen.
void Rmm::send(Psmmu& psmmu, const hw::smmu::Command& command) {
  touch(kPsmmus, How::kRead);
  if (psmmu.hardware == nullptr || psmmu.state != Psmmu::State::kActive) return;
  constexpr std::uint32_t kEntries = 1U << kCommandsLog2;
  for (const hw::smmu::Command& one : {command, hw::smmu::sync()}) {
    const Hpa at = psmmu.memory[2] + psmmu.prod % kEntries * hw::smmu::kCommandBytes;
    (void)memory_.write(at, bytes_of(one), kRealmWorld);
    psmmu.prod = (psmmu.prod + 1) % (2 * kEntries);
  }
  TEEIO_CHECK(psmmu.hardware->ring(psmmu.prod), "an SMMU takes the monitor's commands");
}

/// smmuv3_configure_stream(), smmuv3_enable_ste(), smmuv3_disable_ste().
void Rmm::set_dma(Vdev& vdev, bool on) {
  vdev.dma = on;
  const Realm& realm = std::as_const(realms_).at(raw(vdev.rd));
  write_ste(vdev, hw::smmu::Ste{.valid = on, .vmid = realm.vmid, .table = realm.root}.encode());
}

void Rmm::write_ste(const Vdev& vdev, const std::array<std::uint64_t, 4>& words) {
  touch(kStreamTables, How::kUpdate);  // each stream's entry is its VDEV's
  const std::uint64_t sid = vdev.tdi.rid();
  const auto table = vdev.psmmu->tables.find(sid & ~(Psmmu::kTableEntries - 1));
  if (table == vdev.psmmu->tables.end()) return;
  const Hpa at = table->second.granule + sid % Psmmu::kTableEntries * hw::smmu::kSteBytes;
  memory_.touch_tables(hw::PhysicalMemory::Tables::kTrusted, schedule::Touch::How::kUpdate);
  (void)memory_.write(at, bytes_of(words), kRealmWorld);
  send(*vdev.psmmu, hw::smmu::cfgi_ste(static_cast<std::uint32_t>(sid)));
}

/// smmuv3_release_stream().
void Rmm::release_ste(const Vdev& vdev) {
  write_ste(vdev, {});
  const std::uint64_t first = vdev.tdi.rid() & ~(Psmmu::kTableEntries - 1);
  std::erase(vdev.psmmu->tables.at(first).entries, vdev.tdi.rid());
}

/// smmuv3_inv_page() and smmuv3_inv_entries() of every SMMU: devices of a realm may be
/// behind any.
void Rmm::invalidate(const Realm& realm, std::optional<Gpa> page) {
  for (auto& [base, psmmu] : psmmus_)
    send(psmmu,
         page ? hw::smmu::tlbi_ipa(realm.vmid, Iova{raw(*page)}) : hw::smmu::tlbi_vmid(realm.vmid));
}

RmiResult Rmm::psmmu_deactivate(Hpa at) {
  Command c(*this, row::kPsmmuDeactivate);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!settings_.device_assignment, "feature");
  touch(kPsmmus, How::kWrite);
  const auto found = psmmus_.find(raw(at));
  RMM_REFUSE_IF(found == psmmus_.end(), "psmmu");
  Psmmu& psmmu = found->second;
  RMM_REFUSE_IF(psmmu.state != Psmmu::State::kActive, "state");
  RMM_FIND(operation, reserve(c, raw(at)));
  touch(kStreamTables, How::kRead);
  if (!psmmu.tables.empty()) {
    release(*operation);
    return c.refuse("tables");
  }
  psmmu.state = Psmmu::State::kBusy;
  if (psmmu.hardware != nullptr) psmmu.hardware->disable();
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
  RMM_FIND(operation, reserve(c, raw(at) + sid));
  operation->psmmu = &found->second;
  operation->sid = sid;
  operation->kind = GranuleState::kInternal;
  operation->contiguous = true;
  operation->wanted = {1};
  return ask_for(*operation);
}

Code Rmm::table_created(Operation& operation) {
  touch(kPsmmus, How::kRead);
  touch(kStreamTables, How::kWrite);
  Psmmu& psmmu = *operation.psmmu;
  if (psmmu.state != Psmmu::State::kActive || psmmu.tables.contains(operation.sid))
    return Code::kInput;
  const Hpa table = operation.memory.front();
  psmmu.tables[operation.sid].granule = table;
  operation.memory.clear();
  (void)memory_.write(table, Bytes(kPageSize), kRealmWorld);
  (void)memory_.write_u64(level1_entry(psmmu, operation.sid), hw::smmu::level1(table), kRealmWorld);
  return Code::kSuccess;
}

RmiResult Rmm::psmmu_st_l2_destroy(Hpa at, std::uint64_t sid) {
  Command c(*this, row::kPsmmuStL2Destroy);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!settings_.device_assignment, "feature");
  touch(kStreamTables, How::kWrite);
  const auto found = psmmus_.find(raw(at));
  RMM_REFUSE_IF(found == psmmus_.end(), "psmmu");
  RMM_REFUSE_IF(!begins_table(sid), "sid");
  RMM_FIND(operation, reserve(c, raw(at) + sid));
  auto& tables = found->second.tables;
  const auto table = tables.find(sid);
  if (table == tables.end() || !table->second.entries.empty()) {
    release(*operation);
    return c.refuse("table");
  }
  operation->psmmu = &found->second;
  operation->kind = GranuleState::kInternal;
  operation->memory = {table->second.granule};
  (void)memory_.write_u64(level1_entry(found->second, sid), 0, kRealmWorld);
  send(found->second, hw::smmu::cfgi_all());
  tables.erase(table);
  return give_back(*operation, Code::kSuccess);
}

}  // namespace teeio::rmm
