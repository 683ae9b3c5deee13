#include "base/check.h"
#include "firmware/tdx/leaf.h"
#include "schedule/task.h"

// TDs from MNG.CREATE to MNG.FINALIZE; td_teardown.cc has the way back.

namespace teeio::tdx {

LeafResult Module::tdh_mng_create(Hpa tdr, std::uint16_t hkid, std::uint32_t trace_vm) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.CREATE"), {.vm = trace_vm});
  TDX_TRY(leaf.free_page(tdr, Operand::kRcx));
  if (hkid == 0 || hkid >= leaf.s.hkids.size())
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "no private HKID");
  TDX_TRY(leaf.take(leaf.s.kot, Operand::kKot));
  if (leaf.s.hkids[hkid] != HkidState::kFree)
    return leaf.refuse(Code::kHkidNotFree, Operand::kRdx, "another TD has the HKID");
  leaf.give_way();
  leaf.s.hkids[hkid] = HkidState::kAssigned;
  leaf.s.take_page(tdr, PageType::kTdr, tdr, hw::KeyId{kModuleKey});
  Td& td = leaf.s.tds[raw(tdr)];
  td.tdr = tdr;
  td.hkid = hkid;
  td.trace_vm = trace_vm;
  return {};
}

LeafResult Module::tdh_mng_key_config(Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.KEY.CONFIG"));
  TDX_ASSIGN(Td* const td, leaf.any_td(tdr, Operand::kRcx));
  TDX_TRY(leaf.take(leaf.s.pamt.entry(tdr).lock, Operand::kTdr));
  if (td->fatal) return leaf.refuse(Code::kTdFatal, Operand::kRcx, "the TD met a fatal error");
  if (td->life_cycle != LifeCycle::kHkidAssigned)
    return leaf.refuse(Code::kLifecycleStateIncorrect, Operand::kRcx, "the key is configured");
  leaf.give_way();
  td->life_cycle = LifeCycle::kKeysConfigured;
  return {};
}

LeafResult Module::tdh_mng_addcx(Hpa tdr, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.ADDCX"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kAnyState));
  TDX_TRY(leaf.free_page(page, Operand::kRcx));
  TDX_TRY(leaf.take(td->op_state_lock, Operand::kOpState));
  if (td->tdcs.size() == kTdcsPages)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "the TD has all its control pages");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kTdcx, tdr, td->key());
  td->tdcs.push_back(page);
  ++td->chldcnt;
  return {};
}

LeafResult Module::tdh_mng_init(Hpa tdr, const TdParameters& parameters) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.INIT"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRcx, AllowedIn::kAnyState));
  if (td->tdcs.size() != kTdcsPages)
    return leaf.refuse(Code::kTdcsNotAllocated, Operand::kRcx, "control pages are missing");
  TDX_TRY(leaf.take(td->op_state_lock, Operand::kOpState));
  if (td->op_state != OpState::kUninitialized)
    return leaf.refuse(Code::kOpStateIncorrect, Operand::kRcx, "the TD is initialized");
  if (parameters.max_vcpus == 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "a TD needs a vCPU");
  leaf.give_way();
  td->parameters = parameters;
  td->sept_root = td->tdcs.back();
  // Random, so that a host cannot tell where a report's ranges lie; below 2^52
  // less the address width, so that addresses do not wrap.
  td->mmio_offset = schedule::random_u64() & 0x0003'ffff'ffff'f000U;
  td->op_state = OpState::kInitialized;
  return {};
}

LeafResult Module::tdh_mr_extend(Hpa tdr, Gpa gpa) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MR.EXTEND"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuilding));
  if (raw(gpa) % 256 != 0 || raw(gpa) >= kSharedGpaBit)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "the GPA is no private chunk");
  TDX_ASSIGN(const Sept::Place place,
             leaf.sept(*td, page_of(gpa), Level::k4K, Level::k4K, Leaf::Tree::kShared));
  if (place.entry.state() != SeptState::kMapped)
    return leaf.refuse(Code::kEptEntryStateIncorrect, Operand::kRcx, "no page was added here");
  return {};
}

LeafResult Module::tdh_mr_finalize(Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MR.FINALIZE"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRcx, AllowedIn::kAnyState));
  TDX_TRY(leaf.take(td->op_state_lock, Operand::kOpState));
  if (td->op_state != OpState::kInitialized)
    return leaf.refuse(Code::kOpStateIncorrect, Operand::kRcx, "the TD is not being built");
  leaf.give_way();
  td->op_state = OpState::kRunnable;
  return {};
}

LeafResult Module::tdh_vp_create(Hpa tdr, Hpa tdvpr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.VP.CREATE"));
  TDX_TRY(leaf.free_page(tdvpr, Operand::kRcx));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  leaf.give_way();
  leaf.s.take_page(tdvpr, PageType::kTdvpr, tdr, td->key());
  Vcpu& vcpu = leaf.s.vcpus[raw(tdvpr)];
  vcpu.tdvpr = tdvpr;
  vcpu.tdr = tdr;
  ++td->chldcnt;
  return {};
}

LeafResult Module::tdh_vp_addcx(Hpa tdvpr, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.VP.ADDCX"));
  TDX_TRY(leaf.free_page(page, Operand::kRcx));
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRdx));
  TDX_ASSIGN(Td* const td, leaf.td(vcpu->tdr, Operand::kTdr, AllowedIn::kBuiltOrRuns));
  if (vcpu->initialized)
    return leaf.refuse(Code::kVcpuStateIncorrect, Operand::kRdx, "the vCPU is initialized");
  if (vcpu->pages.size() == kTdvpsPages)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "the vCPU has all its pages");
  leaf.give_way();
  leaf.s.take_page(page, PageType::kTdvpx, vcpu->tdr, td->key());
  vcpu->pages.push_back(page);
  ++td->chldcnt;
  return {};
}

LeafResult Module::tdh_vp_init(Hpa tdvpr, std::uint64_t initial_rcx) {
  Leaf leaf(*state_, TDX_LEAF("TDH.VP.INIT"));
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRcx));
  TDX_ASSIGN(Td* const td, leaf.td(vcpu->tdr, Operand::kTdr, AllowedIn::kBuiltOrRuns));
  if (vcpu->initialized || vcpu->pages.size() != kTdvpsPages)
    return leaf.refuse(Code::kVcpuStateIncorrect, Operand::kRcx,
                       "the vCPU is initialized or lacks pages");
  if (td->vcpus == td->parameters.max_vcpus)
    return leaf.refuse(Code::kMaxVcpusExceeded, Operand::kRcx, "the TD has all its vCPUs");
  leaf.give_way();
  // Counted after the leaf gave way: another vCPU of the TD may have come first.
  if (td->vcpus == td->parameters.max_vcpus)
    return leaf.refuse(Code::kMaxVcpusExceeded, Operand::kRcx, "the TD has all its vCPUs");
  vcpu->initialized = true;
  vcpu->initial_rcx = initial_rcx;
  vcpu->index = td->vcpus++;
  return {};
}

LeafResult Module::begin_vp_enter(Hpa tdvpr) {
  State& s = *state_;
  const schedule::Lock lock(s.mutex);
  Vcpu* const vcpu = s.find_vcpu(tdvpr);
  if (vcpu == nullptr) return {.status = {Code::kPageMetadataIncorrect, Operand::kRcx}};
  if (!vcpu->lock.try_exclusive()) return {.status = {Code::kOperandBusy, Operand::kTdvpr}};
  const auto refuse = [&](Code code, Operand operand) {
    vcpu->lock.release_exclusive();
    return LeafResult{.status = Status(code, operand)};
  };
  Td* const td = s.find_td(vcpu->tdr);
  TEEIO_CHECK(td != nullptr, "a vCPU page keeps its TDR");
  if (!s.pamt.entry(td->tdr).lock.try_shared()) return refuse(Code::kOperandBusy, Operand::kTdr);
  s.pamt.entry(td->tdr).lock.release_shared();
  if (td->fatal) return refuse(Code::kTdFatal, Operand::kRcx);
  if (td->life_cycle != LifeCycle::kKeysConfigured)
    return refuse(Code::kTdKeysNotConfigured, Operand::kRcx);
  if (td->op_state != OpState::kRunnable) return refuse(Code::kOpStateIncorrect, Operand::kRcx);
  if (!vcpu->initialized) return refuse(Code::kVcpuStateIncorrect, Operand::kRcx);
  if (!td->epoch_lock.try_shared()) return refuse(Code::kOperandBusy, Operand::kTdEpoch);
  td->epoch_lock.release_shared();
  const bool stale = vcpu->entered_epoch != td->epoch || !vcpu->associated;
  if (!vcpu->associated) ++td->vcpus_associated;
  vcpu->associated = true;
  vcpu->inside = true;
  vcpu->entered_epoch = td->epoch;
  ++td->vcpu_refs[td->epoch & 1U];
  return {.status = {}, .rcx = stale ? 1U : 0U};
}

void Module::end_vp_enter(Hpa tdvpr, TdExit exit) {
  State& s = *state_;
  const schedule::Lock lock(s.mutex);
  Vcpu* const vcpu = s.find_vcpu(tdvpr);
  TEEIO_CHECK(vcpu != nullptr && vcpu->inside, "a vCPU leaves the TD that it entered");
  Td* const td = s.find_td(vcpu->tdr);
  TEEIO_CHECK(td != nullptr, "a vCPU page keeps its TDR");
  --td->vcpu_refs[vcpu->entered_epoch & 1U];
  vcpu->inside = false;
  vcpu->lock.release_exclusive();
  if (exit == TdExit::kNonRecoverable) td->fatal = true;
}

}  // namespace teeio::tdx
