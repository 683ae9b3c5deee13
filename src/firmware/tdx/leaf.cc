#include "firmware/tdx/leaf.h"

#include "schedule/fault_point.h"
#include "schedule/task.h"

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

std::string_view busy_why(Operand operand) {
  switch (operand) {
    case Operand::kExtension:
      return "another extension leaf is running";
    case Operand::kTdr:
      return "another leaf has the TDR page";
    case Operand::kOpState:
      return "another leaf changes the TD's state";
    case Operand::kSeptTree:
      return "another leaf has the secure EPT";
    case Operand::kSeptEntry:
      return "another leaf has the secure EPT entry";
    case Operand::kTdEpoch:
      return "another leaf has the TD's epoch";
    case Operand::kTdvpr:
      return "the vCPU is in use";
    case Operand::kDevifmt:
      return "another leaf has the device interface";
    case Operand::kRax:
    case Operand::kRcx:
    case Operand::kRdx:
    case Operand::kR8:
    case Operand::kR9:
    case Operand::kR10:
    case Operand::kR11:
    case Operand::kR12:
    case Operand::kR15:
    case Operand::kAttributes:
    case Operand::kMaxVcpus:
    case Operand::kTdcx:
    case Operand::kPamt:
    case Operand::kKot:
    case Operand::kTdInv:
    case Operand::kIommu:
    case Operand::kSpdm:
    case Operand::kMmiomt:
    case Operand::kDmar:
      break;
  }
  return "another leaf has the page";
}

}  // namespace

Leaf::Leaf(State& state, LeafName name, object::EventFields fields)
    : s(state),
      guest_(false),
      call_(state.trace.call(object::Lane::kFirmware, name.name, std::move(fields))),
      name_(name.name),
      fails_(name.fails) {
  s.mutex.lock();
}

Leaf::Leaf(State& state, Guest /*guest*/, std::string_view name, object::EventFields fields)
    : s(state),
      guest_(true),
      call_(state.trace.call(object::Lane::kGuestTsm, object::Lane::kFirmware, name,
                             std::move(fields))),
      name_(name) {
  s.mutex.lock();
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

Refused Leaf::refuse(LeafResult result, std::string_view why) {
  call_.refuse(result.status.name(), why);
  return {result};
}

Refused Leaf::refuse(Code code, Operand operand, std::string_view why) {
  return refuse(LeafResult{.status = Status(code, operand)}, why);
}

LeafResult Leaf::about(Code code, const Sept::Place& place) {
  return {.status = Status(code, Operand::kRcx),
          .rcx = place.entry.value(),
          .rdx = static_cast<std::uint64_t>(place.level) |
                 static_cast<std::uint64_t>(place.entry.state()) << 8U};
}

Refused Leaf::refuse(Code code, const Sept::Place& place, std::string_view why) {
  return refuse(about(code, place), why);
}

LeafResult Leaf::remark(Code code) {
  call_.outcome(std::string(code_name(code)));
  return {.status = code};
}

Checked<void> Leaf::extension() {
  TDX_TRY(take(s.extension, Operand::kExtension));
  return may_fail();
}

Checked<void> Leaf::may_fail() {
  if (s.injection.failures && schedule::choose(2, fails_) != 0)
    return refuse(Code::kOperandBusy, Operand::kRax, "the explorer made this leaf fail");
  if (fault_at(FaultPlace::kFirmware, name_, Fault::kBusy))
    return refuse(Code::kOperandBusy, Operand::kRax, "made busy by --inject");
  if (fault_at(FaultPlace::kFirmware, name_, Fault::kRefuse))
    return refuse(Code::kOperandInvalid, Operand::kRax, "refused by --inject");
  return {};
}

Checked<void> Leaf::may_be_interrupted(std::string_view what) {
  if (s.injection.interruptions && schedule::choose(2, what) != 0)
    return refuse(Code::kInterruptedResumable, Operand::kRax, "an interrupt came; call again");
  if (fault_at(FaultPlace::kFirmware, name_, Fault::kInterrupt))
    return refuse(Code::kInterruptedResumable, Operand::kRax, "interrupted by --inject");
  return {};
}

void Leaf::give_way() {
  s.mutex.unlock();
  s.mutex.lock();
}

Checked<void> Leaf::share(TryLock& lock, Operand operand, std::string_view why) {
  if (!lock.try_shared())
    return refuse(Code::kOperandBusy, operand, why.empty() ? busy_why(operand) : why);
  held_.push_back({.lock = &lock, .exclusive = false});
  return {};
}

Checked<void> Leaf::take(TryLock& lock, Operand operand, std::string_view why) {
  if (!lock.try_exclusive())
    return refuse(Code::kOperandBusy, operand, why.empty() ? busy_why(operand) : why);
  held_.push_back({.lock = &lock, .exclusive = true});
  return {};
}

Checked<void> Leaf::take_host_priority(TryLock& lock, Operand operand, std::string_view why) {
  if (guest_) {
    if (lock.host_waits())
      return refuse(Code::kBusyHostPriority, operand, "the host waits for this lock");
    return take(lock, operand, why);
  }
  const auto taken = take(lock, operand, why);
  lock.set_host_waits(!taken.has_value());
  return taken;
}

Checked<void> Leaf::in_tdmr(Hpa page, Operand operand) {
  if (!is_page_aligned(raw(page)) || raw(page) >> 52U != 0)
    return refuse(Code::kOperandInvalid, operand, "the address is no page's");
  if (!s.is_ram(page))
    return refuse(Code::kOperandAddrRangeError, operand, "the address is no page of RAM");
  return {};
}

Checked<Td*> Leaf::any_td(Hpa tdr, Operand operand, Hold hold) {
  TDX_TRY(in_tdmr(tdr, operand));
  TryLock& lock = s.pamt.entry(tdr).lock;
  constexpr std::string_view kWhy = "another leaf has the TDR page";
  TDX_TRY(hold == Hold::kExclusive ? take(lock, operand, kWhy) : share(lock, operand, kWhy));
  Td* td = s.find_td(tdr);
  if (td == nullptr) return refuse(Code::kPageMetadataIncorrect, operand, "the page is no TDR");
  return td;
}

/// Source: helpers.c, check_td_in_correct_build_state() and
/// check_any_td_state_map_tdcs_and_lock(): states have no operand.
Checked<Td*> Leaf::td(Hpa tdr, Operand operand, AllowedIn allowed, Hold hold) {
  TDX_ASSIGN(Td* const td, any_td(tdr, operand, hold));
  if (td->fatal) return refuse(Code::kTdFatal, Operand::kRax, "the TD met a fatal error");
  if (td->life_cycle != LifeCycle::kKeysConfigured)
    return refuse(Code::kTdKeysNotConfigured, Operand::kRax, "the TD has no usable key");
  if (allowed == AllowedIn::kAnyState) return td;
  if (td->tdcs.size() != kTdcsPages)
    return refuse(Code::kTdcsNotAllocated, Operand::kRax, "the TD's control pages are missing");
  if (hold == Hold::kShared) TDX_TRY(share(td->op_state_lock, Operand::kOpState));
  if (!allows(allowed, td->op_state))
    return refuse(Code::kOpStateIncorrect, Operand::kRax,
                  "the TD's state does not allow this leaf");
  return td;
}

Checked<Vcpu*> Leaf::vcpu(Hpa tdvpr, Operand operand) {
  TDX_TRY(in_tdmr(tdvpr, operand));
  Vcpu* const vcpu = s.find_vcpu(tdvpr);
  if (vcpu == nullptr) return refuse(Code::kPageMetadataIncorrect, operand, "the page is no TDVPR");
  TDX_TRY(take(vcpu->lock, operand, "the vCPU is in use"));
  return vcpu;
}

Checked<PamtEntry*> Leaf::free_page(Hpa page, Operand operand) {
  TDX_TRY(in_tdmr(page, operand));
  PamtEntry& entry = s.pamt.entry(page);
  TDX_TRY(take(entry.lock, operand));
  if (entry.type != PageType::kFree)
    return refuse(Code::kPageMetadataIncorrect, operand, "the page is the module's already");
  return &entry;
}

Checked<void> Leaf::shared_page(Hpa page, Operand operand) {
  if (!is_page_aligned(raw(page)) || !s.is_ram(page))
    return refuse(Code::kOperandInvalid, operand, "the address is no page of RAM");
  const PamtEntry* entry = s.pamt.find(page);
  if (entry != nullptr && entry->type != PageType::kFree)
    return refuse(Code::kOperandInvalid, operand, "the message page is not shared");
  return {};
}

Checked<void> Leaf::gpa(Gpa gpa, Level level, Level highest) {
  if (level > highest) return refuse(Code::kOperandInvalid, Operand::kRcx, "the level is too high");
  if (raw(gpa) >= kSharedGpaBit)
    return refuse(Code::kOperandInvalid, Operand::kRcx, "the GPA is shared or too wide");
  if (raw(gpa) % level_bytes(level) != 0)
    return refuse(Code::kOperandInvalid, Operand::kRcx, "the GPA is not aligned to the level");
  return {};
}

Checked<Sept::Place> Leaf::sept_alone(const Td& td, Gpa where, Level level, Level highest) {
  TDX_TRY(gpa(where, level, highest));
  const Sept::Place place = Sept(s.memory, td).walk(where, level);
  if (place.level != level)
    return refuse(Code::kEptWalkFailed, place, "the walk ended above the level");
  return place;
}

Checked<Sept::Place> Leaf::sept(Td& td, Gpa where, Level level, Level highest, Hold tree) {
  TDX_TRY(gpa(where, level, highest));
  TDX_TRY(tree == Hold::kExclusive ? take(td.sept_tree_lock, Operand::kSeptTree)
                                   : share(td.sept_tree_lock, Operand::kSeptTree));
  TDX_ASSIGN(const Sept::Place place, sept_alone(td, where, level, highest));
  TDX_TRY(sept_entry(td, place));
  return place;
}

/// Source: tdh_mem_page_aug.c and tdg_mem_page_accept.c, sept_lock_acquire_host() and
/// ..._guest(): RCX, which names the entry.
Checked<void> Leaf::sept_entry(Td& td, const Sept::Place& place) {
  const std::uint64_t where = raw(place.where);
  TryLock& lock = td.sept_entry_locks[where];
  if (auto taken = take_host_priority(lock, Operand::kRcx, busy_why(Operand::kSeptEntry)); !taken) {
    if (!guest_) taken.error().result = about(Code::kOperandBusy, place);
    return taken;
  }
  held_.back().entry_of = &td;
  held_.back().entry = where;
  return {};
}

Checked<IommuState*> Leaf::iommu(std::uint32_t id) {
  if (id >= kMaxIommus) return refuse(Code::kOperandInvalid, Operand::kRcx, "bad IOMMU id");
  if (id >= s.iommus.size())
    return refuse(Code::kIommuInvalidState, Operand::kRcx, "no such IOMMU");
  IommuState& iommu = s.iommus[id];
  TDX_TRY(take_host_priority(iommu.lock, Operand::kRcx, kIommuBusy));
  if (!iommu.configured)
    return refuse(Code::kIommuInvalidState, Operand::kRcx, "the IOMMU is not set up");
  return &iommu;
}

Checked<void> Leaf::pass(Hpa table, Operand operand) {
  return share(s.pamt.entry(table).lock, operand, "another leaf takes a table page out");
}

/// Source: devifmt.c, devifmt_walk().
Checked<void> Leaf::devifmt_walk(FunctionId function, unsigned level, Operand operand) {
  for (unsigned at = kDevifmtLevels; at > level; --at) {
    const auto table = s.devifmt.tables.find(devifmt_table(function, at));
    if (table == s.devifmt.tables.end())
      return refuse(Code::kDevifmtNotPresent, operand, "DEVIFMT has no table for the function");
    TDX_TRY(pass(table->second, operand));
  }
  return {};
}

Checked<DevifSlot*> Leaf::devifmt_slot(FunctionId function, Operand operand) {
  const auto id = static_cast<std::uint32_t>(function);
  if (id >> 16U != 0)
    return refuse(Code::kOperandInvalid, operand, "the function id has more than a requester ID");
  TDX_TRY(devifmt_walk(function, 0, operand));
  DevifSlot& slot = s.devifmt.slots[id];
  TDX_TRY(take_host_priority(slot.lock, operand, busy_why(Operand::kDevifmt)));
  return &slot;
}

Checked<Devif*> Leaf::devif(FunctionId function, Operand operand) {
  TDX_ASSIGN(DevifSlot* const slot, devifmt_slot(function, operand));
  if (!slot->devif)
    return refuse(Code::kDevifmtNotPresent, operand, "the function has no device interface");
  return &*slot->devif;
}

}  // namespace teeio::tdx
