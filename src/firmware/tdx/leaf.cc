#include "firmware/tdx/leaf.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "schedule/fault_point.h"

namespace teeio::tdx {
namespace {

using schedule::Fault;
using schedule::fault_at;
using schedule::FaultPlace;

bool allows(AllowedIn allowed, OpState state) {
  switch (allowed) {
    case AllowedIn::kAnyState:
      return true;
    case AllowedIn::kUninitialized:
      return state == OpState::kUninitialized;
    case AllowedIn::kBuilding:
      return state == OpState::kInitialized;
    case AllowedIn::kBuiltOrRuns:
      return state != OpState::kUninitialized;
    case AllowedIn::kRuns:
      return state == OpState::kRunnable;
  }
  return false;
}

object::Trace::Call begin_call(State& state, const Row& row, object::EventFields fields) {
  using object::Lane;
  if (row.of_guest())
    return state.trace.call(Lane::kGuestTsm, Lane::kFirmware, row.name, std::move(fields));
  return state.trace.call(Lane::kFirmware, row.name, std::move(fields));
}

/// RCX and RDX as they tell of an entry.
LeafResult about(const Sept::Place& place) {
  return {.status = {},
          .rcx = place.entry.value(),
          .rdx = static_cast<std::uint64_t>(place.level) |
                 static_cast<std::uint64_t>(place.entry.state()) << 8U};
}

}  // namespace

const Check& check_of(const Row& row, std::string_view id) {
  const auto check = std::ranges::find(row.checks, id, &Check::id);
  TEEIO_CHECK(check != row.checks.end(), "a leaf refuses for a reason that its row has not");
  return *check;
}

const Check& check_of(const Row& row, std::string_view id, Operand operand) {
  const auto check = std::ranges::find_if(
      row.checks, [&](const Check& c) { return c.id == id && c.operand == operand; });
  TEEIO_CHECK(check != row.checks.end(), "a leaf refuses for a reason that its row has not");
  return *check;
}

Leaf::Leaf(State& state, const Row& row, object::EventFields fields)
    : s(state), row_(row), call_(begin_call(state, row, std::move(fields))) {
  s.mutex.lock_by_parts();
}

Leaf::~Leaf() {
  for (auto held = held_.rbegin(); held != held_.rend(); ++held) {
    if (held->exclusive)
      held->lock->release_exclusive();
    else
      held->lock->release_shared();
    if (held->entry_of != nullptr && held->lock->idle())
      held->entry_of->sept_entry_locks.erase(held->entry);
  }
  s.mutex.unlock();
}

Refused Leaf::refuse(const Check& check, LeafResult result, std::string_view why) {
  if (check.operand != Operand::kNumber) result.status = Status(check.code, check.operand);
  result.refused_by = &check;
  call_.refuse(result.status.name(), why);
  return {result};
}

Refused Leaf::refuse(std::string_view id) { return refuse(id, LeafResult{}); }

Refused Leaf::refuse(std::string_view id, Operand operand) {
  const Check& check = check_of(row_, id, operand);
  return refuse(check, {}, check.refused_when);
}

Refused Leaf::refuse(std::string_view id, const Sept::Place& place) {
  return refuse(id, about(place));
}

Refused Leaf::refuse(std::string_view id, LeafResult registers) {
  const Check& check = check_of(row_, id);
  return refuse(check, registers, check.refused_when);
}

Refused Leaf::refuse_because(std::string_view id, std::string_view why) {
  return refuse(check_of(row_, id), {}, why);
}

Refused Leaf::refuse_number(std::string_view id, std::uint32_t number) {
  const Check& check = check_of(row_, id);
  return refuse(check, LeafResult{.status = Status(check.code, number_operand(number))},
                check.refused_when);
}

LeafResult Leaf::remark(std::string_view id) {
  const Check& check = check_of(row_, id);
  call_.outcome(std::string(code_name(check.code)));
  return {.status = Status(check.code, check.operand), .refused_by = &check};
}

LeafResult Leaf::remark(std::string_view id, const Sept::Place& place) {
  LeafResult result = about(place);
  const LeafResult remarked = remark(id);
  result.status = remarked.status;
  result.refused_by = remarked.refused_by;
  return result;
}

LeafResult Leaf::remark_number(std::string_view id, std::uint32_t number) {
  LeafResult result = remark(id);
  result.status = Status(result.status.code(), number_operand(number));
  return result;
}

Refused Leaf::injected(Code code, std::string_view why) {
  call_.refuse(code_name(code), why);
  return {LeafResult{.status = code}};
}

Checked<void> Leaf::in_api() {
  if (row_.only && *row_.only != s.api) return refuse("api");
  return {};
}

Checked<void> Leaf::extension() {
  TDX_TRY(in_api());
  TDX_TRY(take(s.to_take(&State::extension), "extension", Operand::kExtension));
  return may_be_injected();
}

Checked<void> Leaf::may_fail() {
  TDX_TRY(in_api());
  return may_be_injected();
}

Checked<void> Leaf::may_be_injected() {
  if (s.injection.failures && schedule::choose(2, row_.fails) != 0)
    return injected(Code::kOperandBusy, "the explorer made this leaf fail");
  if (fault_at(FaultPlace::kFirmware, row_.name, Fault::kBusy))
    return injected(Code::kOperandBusy, "made busy by --inject");
  if (fault_at(FaultPlace::kFirmware, row_.name, Fault::kRefuse))
    return injected(Code::kOperandInvalid, "refused by --inject");
  return {};
}

Checked<void> Leaf::may_be_interrupted(std::string_view what) {
  if (s.injection.interruptions && schedule::choose(2, what) != 0)
    return injected(Code::kInterruptedResumable, "an interrupt came; call again");
  if (fault_at(FaultPlace::kFirmware, row_.name, Fault::kInterrupt))
    return injected(Code::kInterruptedResumable, "interrupted by --inject");
  return {};
}

void Leaf::give_way() { s.mutex.give_way(); }

Checked<void> Leaf::share(TryLock& lock, std::string_view id, Operand operand) {
  if (!lock.try_shared()) return refuse(id, operand);
  held_.push_back({.lock = &lock, .exclusive = false});
  return {};
}

Checked<void> Leaf::take(TryLock& lock, std::string_view id, Operand operand) {
  if (!lock.try_exclusive()) return refuse(id, operand);
  held_.push_back({.lock = &lock, .exclusive = true});
  return {};
}

/// Source: tdx_locks.h, sept_lock_acquire_host() and ..._guest(); devifmt.c has the same.
Checked<void> Leaf::take_host_priority(TryLock& lock, std::string_view id, Operand operand) {
  if (!row_.of_guest()) {
    const auto taken = take(lock, id, operand);
    lock.set_host_waits(!taken.has_value());
    return taken;
  }
  if (!lock.try_exclusive()) return refuse(id, operand);
  if (lock.host_waits()) {
    lock.release_exclusive();
    return refuse("host_waits", operand);
  }
  held_.push_back({.lock = &lock, .exclusive = true});
  return {};
}

Checked<void> Leaf::in_tdmr(Hpa page, Operand operand) {
  if (!is_page_aligned(raw(page)) || raw(page) >> 52U != 0) return refuse("page", operand);
  if (!s.is_ram(page)) return refuse("range", operand);
  return {};
}

Checked<Td*> Leaf::any_td(Hpa tdr, Operand operand, Hold hold) {
  TDX_TRY(in_tdmr(tdr, operand));
  TDX_TRY(hold == Hold::kExclusive ? take(s.pamt.entry(tdr).lock, "busy", operand)
                                   : share(s.pamt.lock_to_share(tdr), "busy", operand));
  Td* td = s.find_td(tdr);
  if (td == nullptr) return refuse("type", operand);
  return td;
}

/// Source: helpers.c, check_td_in_correct_build_state() and
/// check_any_td_state_map_tdcs_and_lock(): states have no operand. The lock of the state is
/// shared by all of these, and taken whole by leaves of migration only, which are not here.
Checked<Td*> Leaf::td(Hpa tdr, Operand operand, AllowedIn allowed, Hold hold) {
  TDX_ASSIGN(Td* const td, any_td(tdr, operand, hold));
  if (td->fatal) return refuse("fatal");
  if (td->life_cycle != LifeCycle::kKeysConfigured) return refuse("keys");
  if (allowed == AllowedIn::kAnyState) return td;
  if (td->tdcs.size() != kTdcsPages) return refuse("tdcs");
  if (!allows(allowed, td->op_state)) return refuse("op_state");
  return td;
}

/// A vCPU's lock is that of its page: shared while it runs.
Checked<Vcpu*> Leaf::vcpu(Hpa tdvpr, Operand operand) {
  TDX_TRY(in_tdmr(tdvpr, operand));
  TDX_TRY(take(s.pamt.entry(tdvpr).lock, "busy", operand));
  Vcpu* const vcpu = s.find_vcpu(tdvpr);
  if (vcpu == nullptr) return refuse("type", operand);
  return vcpu;
}

Checked<Td*> Leaf::caller(Hpa vp) {
  Vcpu* const vcpu = s.find_vcpu(vp);
  if (vcpu == nullptr || !vcpu->associated || vcpu->entered_epoch == 0) return refuse("vcpu");
  if (!vcpu->inside) TDX_TRY(take(s.pamt.entry(vp).lock, "busy", Operand::kTdvpr));
  Td* const td = s.find_td(vcpu->tdr);
  TEEIO_CHECK(td != nullptr, "a vCPU page keeps its TDR");
  if (td->fatal) return refuse("fatal");
  return td;
}

Checked<PamtEntry*> Leaf::free_page(Hpa page, Operand operand) {
  TDX_TRY(in_tdmr(page, operand));
  PamtEntry& entry = s.pamt.entry(page);
  TDX_TRY(take(entry.lock, "busy", operand));
  if (entry.type != PageType::kFree) return refuse("type", operand);
  return &entry;
}

Checked<std::vector<Hpa>> Leaf::array(HpaArray pages, std::size_t wanted, Operand operand) {
  if (pages.count() != wanted) return refuse("array", operand);
  if (wanted == 1) return std::vector{pages.page()};
  Bytes list(wanted * sizeof(std::uint64_t));
  if (!is_page_aligned(raw(pages.page())) || !s.memory.read(pages.page(), list))
    return refuse("list", operand);
  Reader reader(list);
  std::vector<Hpa> all;
  for (std::size_t i = 0; i < wanted; ++i) all.push_back(Hpa{reader.le<std::uint64_t>()});
  return all;
}

Checked<std::vector<Hpa>> Leaf::free_array(HpaArray pages, std::size_t wanted, Operand operand) {
  TDX_ASSIGN(const std::vector<Hpa>& all, array(pages, wanted, operand));
  for (const Hpa page : all) TDX_TRY(free_page(page, operand));
  return all;
}

Checked<void> Leaf::take_page_of(Hpa page, std::string_view id, Operand operand) {
  return take(s.pamt.entry(page).lock, id, operand);
}

Checked<void> Leaf::shared_page(Hpa page, Operand operand) {
  const PamtEntry* entry = s.pamt.find(page);
  const bool owned = entry != nullptr && entry->type != PageType::kFree;
  if (!is_page_aligned(raw(page)) || !s.is_ram(page) || owned) return refuse("shared", operand);
  return {};
}

Checked<void> Leaf::gpa(Gpa gpa, Level level, Level highest) {
  if (level > highest) return refuse("level");
  if (raw(gpa) >= kSharedGpaBit) return refuse("gpa");
  if (raw(gpa) % level_bytes(level) != 0) return refuse("aligned");
  return {};
}

Checked<void> Leaf::reserved(const ReservedBits& rest, std::initializer_list<Operand> registers) {
  for (const Operand which : registers)
    if (rest[which] != 0) return refuse("reserved", which);
  return {};
}

Checked<Sept::Place> Leaf::sept_alone(const Td& td, Gpa where, Level level, Level highest) {
  TDX_TRY(gpa(where, level, highest));
  const Sept::Place place = Sept(s.memory, td).walk(where, level);
  if (place.level != level) return refuse("walk", place);
  return place;
}

Checked<Sept::Place> Leaf::sept(Td& td, Gpa where, Level level, Level highest, Hold tree) {
  TDX_TRY(gpa(where, level, highest));
  TDX_TRY(tree == Hold::kExclusive ? take(td.sept_tree_lock, "tree", Operand::kSeptTree)
                                   : share(td.sept_tree_lock, "tree", Operand::kSeptTree));
  TDX_ASSIGN(const Sept::Place place, sept_alone(td, where, level, highest));
  TDX_TRY(sept_entry(td, place));
  return place;
}

Checked<void> Leaf::sept_entry(Td& td, const Sept::Place& place) {
  const std::uint64_t where = raw(place.where);
  TryLock& lock = td.sept_entry_locks[where];
  if (auto taken = take_host_priority(lock, "entry", Operand::kRcx); !taken) {
    LeafResult& result = taken.error().result;
    if (!row_.of_guest()) result.rcx = about(place).rcx;
    if (!row_.of_guest()) result.rdx = about(place).rdx;
    return taken;
  }
  held_.back().entry_of = &td;
  held_.back().entry = where;
  return {};
}

Checked<void> Leaf::tracked(const Td& td, const Sept::Place& place) {
  if (!State::needs_tracking(td)) return {};
  const auto blocked_in = td.bepoch.find(raw(place.where));
  if (blocked_in == td.bepoch.end()) return refuse("blocked", place);
  if (!td.tlb_tracked(blocked_in->second)) return refuse("tlb");
  if (!td.iotlb_tracked(blocked_in->second)) return refuse("iotlb");
  return {};
}

Checked<IommuState*> Leaf::iommu(std::uint32_t id) {
  if (id >= kMaxIommus) return refuse("iommu");
  if (id >= s.iommus.size()) return refuse("no_iommu");
  IommuState& iommu = s.iommus[id];
  TDX_TRY(take_host_priority(iommu.lock, "iommu_busy", Operand::kRcx));
  if (!iommu.configured) return refuse("iommu_state");
  if (iommu.ready_ports.size() != iommu.root_ports.size()) return refuse("root_ports");
  return &iommu;
}

Checked<SpdmSession*> Leaf::spdm(IommuState& iommu, std::uint32_t id, Operand operand) {
  TDX_TRY(take(iommu.spdm_locks[id], "spdm_busy", operand));
  const auto at = iommu.sessions.find(id);
  return at == iommu.sessions.end() ? nullptr : &at->second;
}

Checked<SpdmSession*> Leaf::bound_spdm(IommuState& iommu, std::uint32_t id, Operand operand) {
  TDX_ASSIGN(SpdmSession* const session, spdm(iommu, id, operand));
  TEEIO_CHECK(session != nullptr, "an IDE stream keeps its SPDM session");
  if (!session->bound) return refuse("spdm_state", operand);
  return session;
}

Checked<void> Leaf::pass(Hpa table, std::string_view id, Operand operand) {
  return share(s.pamt.lock_to_share(table), id, operand);
}

/// Source: devifmt.c, devifmt_walk().
Checked<void> Leaf::devifmt_walk(FunctionId function, unsigned level, Operand operand) {
  const auto& tables = std::as_const(s.devifmt.tables);
  for (unsigned at = kDevifmtLevels; at > level; --at) {
    const DevifmtTable* const table = tables.find(devifmt_table(function, at));
    if (table == nullptr) return refuse("devifmt", operand);
    TDX_TRY(pass(table->page, "devifmt_table", operand));
  }
  return {};
}

Checked<DevifSlot*> Leaf::devifmt_slot(FunctionId function, Operand operand) {
  const auto id = static_cast<std::uint32_t>(function);
  if (id >> 16U != 0) return refuse("function", operand);
  TDX_TRY(devifmt_walk(function, 0, operand));
  DevifSlot& slot = s.devifmt.slots[id];
  TDX_TRY(take_host_priority(slot.lock, "devif_busy", operand));
  return &slot;
}

Checked<Devif*> Leaf::devif(FunctionId function, Operand operand) {
  TDX_ASSIGN(DevifSlot* const slot, devifmt_slot(function, operand));
  if (!slot->devif) return refuse("devif", operand);
  return &*slot->devif;
}

}  // namespace teeio::tdx
