#include "base/check.h"
#include "firmware/tdx/leaf.h"
#include "schedule/task.h"

// TDs from MNG.CREATE to MNG.FINALIZE; td_teardown.cc has the way back.

namespace teeio::tdx {

namespace {

// States of a vCPU as statuses carry them. Source: tdx_tdvps.h, VCPU_*.
constexpr std::uint32_t kVcpuUninitialized = 0;
constexpr std::uint32_t kVcpuReady = 2;

/// What TD_PARAMS.ATTRIBUTES may have: DEBUG, SEPT_VE_DISABLE, MIGRATABLE, PKS, PERFMON.
/// Source: TDX module base spec, "ATTRIBUTES"; tdh_mng_init.c, verify_td_attributes().
constexpr std::uint64_t kAttributes = std::uint64_t{1} << 0U | std::uint64_t{1} << 28U |
                                      std::uint64_t{1} << 29U | std::uint64_t{1} << 30U |
                                      std::uint64_t{1} << 63U;

/// All that VP.ENTER looks at behind the TDVPR page.
LeafResult check_vp_enter(State& s, const Vcpu& vcpu) {
  const auto refuse = [](Code code, Operand operand = Operand::kRax) {
    return LeafResult{.status = Status(code, operand)};
  };
  Td* const td = s.find_td(vcpu.tdr);
  TEEIO_CHECK(td != nullptr, "a vCPU page keeps its TDR");
  if (!s.pamt.entry(td->tdr).lock.try_shared()) return refuse(Code::kOperandBusy, Operand::kTdr);
  s.pamt.entry(td->tdr).lock.release_shared();
  if (td->fatal) return refuse(Code::kTdFatal);
  if (td->life_cycle != LifeCycle::kKeysConfigured) return refuse(Code::kTdKeysNotConfigured);
  if (td->op_state != OpState::kRunnable) return refuse(Code::kOpStateIncorrect);
  if (vcpu.pages.size() != kTdvpsPages) return refuse(Code::kTdcxNumIncorrect);
  if (!vcpu.initialized)
    return refuse(Code::kVcpuStateIncorrect, number_operand(kVcpuUninitialized));
  if (!td->epoch_lock.try_shared()) return refuse(Code::kOperandBusy, Operand::kTdEpoch);
  td->epoch_lock.release_shared();
  return {};
}

}  // namespace

/// Source: tdh_mng_create.c.
LeafResult Module::tdh_mng_create(Hpa tdr, std::uint16_t hkid, std::uint32_t trace_vm) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.CREATE"), {.vm = trace_vm});
  if (hkid == 0 || hkid >= leaf.s.hkids.size())
    return leaf.refuse(Code::kOperandInvalid, Operand::kRdx, "no private HKID");
  TDX_TRY(leaf.free_page(tdr, Operand::kRcx));
  TDX_TRY(leaf.take(leaf.s.kot, Operand::kKot));
  if (leaf.s.hkids[hkid] != HkidState::kFree)
    return leaf.refuse(Code::kHkidNotFree, Operand::kRax, "another TD has the HKID");
  leaf.give_way();
  leaf.s.hkids[hkid] = HkidState::kAssigned;
  leaf.s.take_page(tdr, PageType::kTdr, tdr, hw::KeyId{kModuleKey});
  Td& td = leaf.s.tds[raw(tdr)];
  td.tdr = tdr;
  td.hkid = hkid;
  td.trace_vm = trace_vm;
  return {};
}

/// Source: tdh_mng_key_config.c, on a machine of one package.
LeafResult Module::tdh_mng_key_config(Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.KEY.CONFIG"));
  TDX_ASSIGN(Td* const td, leaf.any_td(tdr, Operand::kRcx, Leaf::Hold::kExclusive));
  if (td->fatal) return leaf.refuse(Code::kTdFatal, Operand::kRax, "the TD met a fatal error");
  if (td->life_cycle != LifeCycle::kHkidAssigned)
    return leaf.refuse(Code::kLifecycleStateIncorrect, Operand::kRax, "the key is configured");
  leaf.give_way();
  td->life_cycle = LifeCycle::kKeysConfigured;
  return {};
}

/// Source: tdh_mng_add_cx.c.
LeafResult Module::tdh_mng_addcx(Hpa tdr, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.ADDCX"));
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRdx, AllowedIn::kAnyState, Leaf::Hold::kExclusive));
  if (td->tdcs.size() == kTdcsPages)
    return leaf.refuse(Code::kTdcxNumIncorrect, Operand::kRax, "the TD has all its control pages");
  TDX_TRY(leaf.free_page(page, Operand::kRcx));
  leaf.give_way();
  leaf.s.take_page(page, PageType::kTdcx, tdr, td->key());
  td->tdcs.push_back(page);
  ++td->chldcnt;
  return {};
}

/// Source: tdh_mng_init.c, read_and_set_td_configurations().
LeafResult Module::tdh_mng_init(Hpa tdr, const TdParameters& parameters) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MNG.INIT"));
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRcx, AllowedIn::kUninitialized, Leaf::Hold::kExclusive));
  if ((parameters.attributes & ~kAttributes) != 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kAttributes, "no such attribute of a TD");
  if (parameters.max_vcpus == 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kMaxVcpus, "a TD needs a vCPU");
  leaf.give_way();
  td->parameters = parameters;
  td->sept_root = td->tdcs.back();
  // Random, so that a host cannot tell where a report's ranges lie; below 2^52
  // less the address width, so that addresses do not wrap.
  td->mmio_offset = schedule::random_u64() & 0x0003'ffff'ffff'f000U;
  td->op_state = OpState::kInitialized;
  return {};
}

/// Source: tdh_mr_extend.c.
LeafResult Module::tdh_mr_extend(Hpa tdr, Gpa gpa) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MR.EXTEND"));
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRdx, AllowedIn::kBuilding, Leaf::Hold::kExclusive));
  if (raw(gpa) % 256 != 0)
    return leaf.refuse(Code::kOperandInvalid, Operand::kRcx, "the GPA is no chunk's");
  TDX_TRY(leaf.gpa(page_of(gpa), Level::k4K, Level::k4K));
  const Sept::Place place = Sept(leaf.s.memory, *td).walk(page_of(gpa), Level::k4K);
  if (place.level != Level::k4K)
    return leaf.refuse(Code::kEptEntryNotPresent, place, "the walk ended above a page");
  if (place.entry.state() != SeptState::kMapped)
    return leaf.refuse(Code::kEptEntryNotPresent, Operand::kRax, "no page was added here");
  return {};
}

/// Source: tdh_mr_finalize.c.
LeafResult Module::tdh_mr_finalize(Hpa tdr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.MR.FINALIZE"));
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRcx, AllowedIn::kBuilding, Leaf::Hold::kExclusive));
  if (td->vcpus == 0) return leaf.refuse(Code::kNoVcpus, Operand::kRax, "the TD has no vCPU");
  leaf.give_way();
  td->op_state = OpState::kRunnable;
  return {};
}

/// Source: tdh_vp_create.c.
LeafResult Module::tdh_vp_create(Hpa tdr, Hpa tdvpr) {
  Leaf leaf(*state_, TDX_LEAF("TDH.VP.CREATE"));
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kRdx, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.free_page(tdvpr, Operand::kRcx));
  leaf.give_way();
  leaf.s.take_page(tdvpr, PageType::kTdvpr, tdr, td->key());
  Vcpu& vcpu = leaf.s.vcpus[raw(tdvpr)];
  vcpu.tdvpr = tdvpr;
  vcpu.tdr = tdr;
  ++td->chldcnt;
  return {};
}

/// Source: tdh_vp_addcx.c.
LeafResult Module::tdh_vp_addcx(Hpa tdvpr, Hpa page) {
  Leaf leaf(*state_, TDX_LEAF("TDH.VP.ADDCX"));
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRdx));
  TDX_ASSIGN(Td* const td, leaf.td(vcpu->tdr, Operand::kTdr, AllowedIn::kBuiltOrRuns));
  if (vcpu->initialized)
    return leaf.refuse(Code::kVcpuStateIncorrect, number_operand(kVcpuReady),
                       "the vCPU is initialized");
  if (vcpu->pages.size() == kTdvpsPages)
    return leaf.refuse(Code::kTdcxNumIncorrect, Operand::kRax, "the vCPU has all its pages");
  TDX_TRY(leaf.free_page(page, Operand::kRcx));
  leaf.give_way();
  leaf.s.take_page(page, PageType::kTdvpx, vcpu->tdr, td->key());
  vcpu->pages.push_back(page);
  ++td->chldcnt;
  return {};
}

/// Source: tdh_vp_init.c; associate_vcpu_initial() counts the vCPU as one to flush.
LeafResult Module::tdh_vp_init(Hpa tdvpr, std::uint64_t initial_rcx) {
  Leaf leaf(*state_, TDX_LEAF("TDH.VP.INIT"));
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRcx));
  TDX_ASSIGN(Td* const td, leaf.td(vcpu->tdr, Operand::kTdr, AllowedIn::kBuiltOrRuns));
  if (vcpu->pages.size() != kTdvpsPages)
    return leaf.refuse(Code::kTdcxNumIncorrect, Operand::kRax, "the vCPU lacks pages");
  if (vcpu->initialized)
    return leaf.refuse(Code::kVcpuStateIncorrect, number_operand(kVcpuReady),
                       "the vCPU is initialized");
  leaf.give_way();
  // Counted after the leaf gave way: another vCPU of the TD may have come first.
  if (td->vcpus == td->parameters.max_vcpus)
    return leaf.refuse(Code::kMaxVcpusExceeded, Operand::kRax, "the TD has all its vCPUs");
  vcpu->initialized = true;
  vcpu->initial_rcx = initial_rcx;
  vcpu->index = td->vcpus++;
  vcpu->associated = true;
  ++td->vcpus_associated;
  return {};
}

/// Source: tdh_vp_enter.c. A logical processor is here who runs the vCPU: a vCPU that is
/// inside is associated with another one.
LeafResult Module::begin_vp_enter(Hpa tdvpr) {
  State& s = *state_;
  const schedule::Lock lock(s.mutex);
  const auto refuse = [](Code code, Operand operand = Operand::kRax) {
    return LeafResult{.status = Status(code, operand)};
  };
  if (!is_page_aligned(raw(tdvpr))) return refuse(Code::kOperandInvalid, Operand::kRcx);
  if (!s.is_ram(tdvpr)) return refuse(Code::kOperandAddrRangeError, Operand::kRcx);
  Vcpu* const vcpu = s.find_vcpu(tdvpr);
  if (vcpu == nullptr) return refuse(Code::kPageMetadataIncorrect, Operand::kRcx);
  if (vcpu->inside) return refuse(Code::kVcpuAssociated);
  if (!vcpu->lock.try_shared()) return refuse(Code::kOperandBusy, Operand::kRcx);
  const LeafResult checked = check_vp_enter(s, *vcpu);
  if (!checked.ok()) vcpu->lock.release_shared();
  if (!checked.ok()) return checked;
  Td* const td = s.find_td(vcpu->tdr);
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
  vcpu->lock.release_shared();
  if (exit == TdExit::kNonRecoverable) td->fatal = true;
}

}  // namespace teeio::tdx
