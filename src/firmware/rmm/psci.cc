
#include "firmware/rmm/command.h"
#include "firmware/rmm/rsi_call.h"

// A realm's power: TF-RMM runtime/rsi/psci.c, and smc_psci_complete() of runtime/rmi/rec.c.

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kVersion = 0x1'0001;  // 1.1
constexpr std::uint64_t kIsOn = 0, kIsOff = 1;

/// A result of PSCI's: a negative number.
std::uint64_t negative(Code code) { return ~(static_cast<std::uint64_t>(code) & kPsciMask) + 1; }

/// handle_psci() looks at the lower half of x0, with SMCCC's hint about SVE.
std::uint64_t function_of(const PsciCall& call) { return call[0] & 0xffff'ffffU; }

/// mpidr_to_rec_idx(): MPIDR_EL1 has its highest field elsewhere than RmiRecMpidr.
std::uint64_t index_of(std::uint64_t mpidr) {
  return rec_index((mpidr & 0xff'ffffU) | (mpidr >> 32U & 0xffU) << 24U);
}

/// psci_features().
bool is_known(std::uint64_t function) {
  const bool wide = (function & kPsci64Bits) != 0;
  switch (function & ~kPsci64Bits) {
    case kPsciCpuSuspend:
    case kPsciCpuOn:
    case kPsciAffinityInfo:
      return true;
    case kPsciCpuOff:
    case kPsciSystemOff:
    case kPsciSystemReset:
    case kPsciFeatures:
    case kSmcccVersion:
      return !wide;
    default:
      return false;
  }
}

}  // namespace

PsciResult Rmm::refused(RsiCall& call, std::string_view id) {
  const Check* const check = call.refuse(id).refused_by;
  return {.x0 = negative(check->code), .refused_by = check};
}

/// The host is told, and completes it.
PsciResult Rmm::ask_host(Rec& rec, const PsciCall& call) {
  rec.pending = Rec::Pending::kPsciComplete;
  rec.psci = call;
  rec.psci_shown = 2;
  return {.leaves = true, .pending = true};
}

PsciResult Rmm::tell_host(Rec& rec, const PsciCall& call) {
  rec.psci = call;
  rec.psci_shown = 1;
  return {.leaves = true};
}

PsciResult Rmm::psci_cpu_on(Rec& rec, const PsciCall& call) {
  RsiCall arrow(*this, row::kPsciCpuOn);
  const auto [function, target, entry, context] = call;
  if (entry >= Rtt::kProtected) return refused(arrow, "protected");
  if (index_of(target) >= realm_of(rec).next_rec) return refused(arrow, "target");
  if (index_of(target) == rec.index) return refused(arrow, "self");
  return ask_host(rec, call);
}

PsciResult Rmm::psci_affinity_info(Rec& rec, const PsciCall& call) {
  RsiCall arrow(*this, row::kPsciAffinityInfo);
  const auto [function, target, level, unused] = call;
  if (level != 0) return refused(arrow, "level");
  if (index_of(target) >= realm_of(rec).next_rec) return refused(arrow, "target");
  if (index_of(target) == rec.index) return {.x0 = kIsOn};
  return ask_host(rec, call);
}

PsciResult Rmm::psci_system(Rec& rec, const PsciCall& call, const Row& row) {
  const RsiCall arrow(*this, row);
  realms_.at(raw(rec.rd)).state = RealmState::kSystemOff;
  PsciResult result = tell_host(rec, call);
  result.pending = true;  // its registers stay: it never runs again
  return result;
}

/// handle_psci().
PsciResult Rmm::psci(Hpa at, const PsciCall& call) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  Rec& rec = calling(at);
  const std::uint64_t function = function_of(call);
  const bool wide = (function & kPsci64Bits) != 0;
  switch (function & ~kPsci64Bits) {
    case kPsciCpuSuspend: {
      const RsiCall arrow(*this, row::kPsciCpuSuspend);
      return tell_host(rec, call);
    }
    case kPsciCpuOn:
      return psci_cpu_on(rec, call);
    case kPsciAffinityInfo:
      return psci_affinity_info(rec, call);
    default:
      break;
  }
  switch (wide ? 0 : function) {
    case kPsciVersion: {
      const RsiCall arrow(*this, row::kPsciVersion);
      return {.x0 = kVersion};
    }
    case kPsciCpuOff: {
      const RsiCall arrow(*this, row::kPsciCpuOff);
      rec.runnable = false;
      return tell_host(rec, call);
    }
    case kPsciSystemOff:
      return psci_system(rec, call, row::kPsciSystemOff);
    case kPsciSystemReset:
      return psci_system(rec, call, row::kPsciSystemReset);
    case kPsciFeatures: {
      RsiCall arrow(*this, row::kPsciFeatures);
      return is_known(call[1] & 0xffff'ffffU) ? PsciResult{} : refused(arrow, "function");
    }
    default:
      return {.x0 = negative(Code::kPsciNotSupported)};
  }
}

/// complete_psci_cpu_on(); gives the caller's x0.
std::uint64_t Rmm::turn_on(Rec& target, const PsciCall& call, bool denied) {
  if (target.running || target.runnable) return negative(Code::kPsciAlreadyOn);
  if (denied) return negative(Code::kPsciDenied);
  target.runnable = true;
  target.start = {.pc = call[2], .context = call[3]};
  return 0;
}

RmiResult Rmm::psci_complete(Hpa calling_at, Hpa target_at, std::uint64_t status) {
  Command c(*this, row::kPsciComplete);
  if (!c.begin()) return c.result();
  RMM_REFUSE_IF(!is_page_aligned(raw(calling_at) | raw(target_at)), "aligned");
  RMM_REFUSE_IF(calling_at == target_at, "recs");
  RMM_FIND(rec, c.rec(calling_at, "recs"));
  RMM_FIND(target, c.rec(target_at, "recs"));
  RMM_REFUSE_IF(rec->running, "running");
  RMM_REFUSE_IF(rec->pending != Rec::Pending::kPsciComplete, "pending");
  RMM_REFUSE_IF(rec->rd != target->rd, "foreign");
  RMM_REFUSE_IF(index_of(rec->psci[1]) != target->index, "target");
  // psci_complete_request() takes all of x0 for the function, which it knows then.
  if (rec->psci[0] != function_of(rec->psci) &&
      panic("psci_complete_request(): a function with more than 32 bits", Bdf{}))
    return {.code = Code::kSmcNotSupported};
  const bool turns_on = (function_of(rec->psci) & ~kPsci64Bits) == kPsciCpuOn;
  const bool denied = turns_on && status == negative(Code::kPsciDenied);
  RMM_REFUSE_IF(status != 0 && !denied, "status");
  const bool on = target->running || target->runnable;
  rec->psci_result = turns_on ? turn_on(*target, rec->psci, denied) : on ? kIsOn : kIsOff;
  rec->pending = Rec::Pending::kNone;
  RMM_REFUSE_IF(denied && on, "denied");
  return {};
}

}  // namespace teeio::rmm
