#include <algorithm>

#include "base/check.h"
#include "firmware/tdx/leaf.h"
#include "firmware/tdx/measurement.h"
#include "schedule/task.h"

// TDs from MNG.CREATE to MNG.FINALIZE; td_teardown.cc has the way back.

namespace teeio::tdx {

namespace {

/// What TD_PARAMS.ATTRIBUTES may have: DEBUG, SEPT_VE_DISABLE, MIGRATABLE, PKS, PERFMON.
/// Source: TDX module base spec, "ATTRIBUTES"; tdh_mng_init.c, verify_td_attributes().
constexpr std::uint64_t kAttributes = std::uint64_t{1} << 0U | std::uint64_t{1} << 28U |
                                      std::uint64_t{1} << 29U | std::uint64_t{1} << 30U |
                                      std::uint64_t{1} << 63U;

LeafResult enter_refused(std::string_view id, Operand operand = Operand::kRax) {
  const Check& check = check_of(row::kVpEnter, id, operand);
  return {.status = Status(check.code, operand), .refused_by = &check};
}

/// What VP.ENTER looks at behind the TDVPR and TDR pages, up to the association.
LeafResult check_vp_enter(const Td& td, const Vcpu& vcpu, const Processor& on) {
  if (td.fatal) return enter_refused("fatal");
  if (td.life_cycle != LifeCycle::kKeysConfigured) return enter_refused("keys");
  if (td.tdcs.size() != kTdcsPages) return enter_refused("tdcs");
  if (td.op_state != OpState::kRunnable) return enter_refused("op_state");
  if (vcpu.pages.size() != kTdvpsPages) return enter_refused("pages");
  if (!vcpu.initialized) return enter_refused("initialized");
  const bool elsewhere = vcpu.associated && vcpu.processor != on.number;
  return vcpu.inside || elsewhere ? enter_refused("inside") : LeafResult{};
}

/// Source: helpers.c, associate_vcpu() and associate_vcpu_initial().
void associate(Td& td, Vcpu& vcpu, const Processor& on) {
  if (!vcpu.associated) {
    ++td.vcpus_associated;
    vcpu.entered_epoch = 0;
  }
  vcpu.associated = true;
  vcpu.processor = on.number;
}

/// Whose clock a guest would see otherwise: the host plays no tricks on it.
bool same_clock(const Processor& on) { return on.tsc_adjust == 0; }

/// What VP.ENTER looks at of an associated vCPU, which stays so.
LeafResult check_associated(Td& td, const Processor& on) {
  if (!same_clock(on)) {
    const Check& check = check_of(row::kVpEnter, "tsc_adjust");
    return {.status = Status(check.code, number_operand(kIa32TscAdjust)), .refused_by = &check};
  }
  if (!td.epoch_lock.try_shared()) return enter_refused("epoch", Operand::kTdEpoch);
  td.epoch_lock.release_shared();
  return {};
}

}  // namespace

/// Source: tdh_mng_create.c.
LeafResult Module::tdh_mng_create(Hpa tdr, std::uint16_t hkid, std::uint32_t trace_vm) {
  Leaf leaf(*state_, row::kMngCreate, {.vm = trace_vm});
  if (hkid == 0 || hkid >= leaf.s.hkids.size()) return leaf.refuse("hkid");
  TDX_TRY(leaf.free_page(tdr, Operand::kRcx));
  TDX_TRY(leaf.take(leaf.s.to_take(&State::kot), "kot", Operand::kKot));
  if (leaf.s.hkids[hkid] != HkidState::kFree) return leaf.refuse("free");
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
  Leaf leaf(*state_, row::kMngKeyConfig);
  TDX_ASSIGN(Td* const td, leaf.any_td(tdr, Operand::kRcx, Leaf::Hold::kExclusive));
  if (td->fatal) return leaf.refuse("fatal");
  if (td->life_cycle != LifeCycle::kHkidAssigned) return leaf.refuse("life_cycle");
  leaf.give_way();
  td->life_cycle = LifeCycle::kKeysConfigured;
  return {};
}

/// Source: tdh_mng_add_cx.c.
LeafResult Module::tdh_mng_addcx(Hpa tdr, Hpa page) {
  Leaf leaf(*state_, row::kMngAddcx);
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRdx, AllowedIn::kAnyState, Leaf::Hold::kExclusive));
  if (td->tdcs.size() == kTdcsPages) return leaf.refuse("count");
  TDX_TRY(leaf.free_page(page, Operand::kRcx));
  leaf.give_way();
  leaf.s.take_page(page, PageType::kTdcx, tdr, td->key());
  td->tdcs.push_back(page);
  ++td->chldcnt;
  return {};
}

/// Source: tdh_mng_init.c, read_and_set_td_configurations().
LeafResult Module::tdh_mng_init(Hpa tdr, const TdParameters& parameters, const Processor& on) {
  Leaf leaf(*state_, row::kMngInit);
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRcx, AllowedIn::kUninitialized, Leaf::Hold::kExclusive));
  if ((parameters.attributes & ~kAttributes) != 0) return leaf.refuse("attributes");
  if (parameters.max_vcpus == 0) return leaf.refuse("max_vcpus");
  if (!same_clock(on)) return leaf.refuse_number("tsc_adjust", kIa32TscAdjust);
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
  Leaf leaf(*state_, row::kMrExtend);
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRdx, AllowedIn::kBuilding, Leaf::Hold::kExclusive));
  if (raw(gpa) % 256 != 0) return leaf.refuse("chunk");
  TDX_TRY(leaf.gpa(page_of(gpa), Level::k4K, Level::k4K));
  const Sept::Place place = Sept(leaf.s.memory, *td).walk(page_of(gpa), Level::k4K);
  if (place.level != Level::k4K) return leaf.refuse("walk", place);
  if (place.entry.state() != SeptState::kMapped) return leaf.refuse("state");
  std::array<std::byte, 256> chunk{};
  const bool read =
      leaf.s.memory.read(place.entry.address() + raw(gpa) % kPageSize, chunk, td->key())
          .has_value();
  TEEIO_CHECK(read, "a TD's page can be read with its key");
  measure(*td, "MR.EXTEND", gpa);
  td->built.update(chunk);
  return {};
}

/// Source: tdh_mr_finalize.c.
LeafResult Module::tdh_mr_finalize(Hpa tdr) {
  Leaf leaf(*state_, row::kMrFinalize);
  TDX_ASSIGN(Td* const td,
             leaf.td(tdr, Operand::kRcx, AllowedIn::kBuilding, Leaf::Hold::kExclusive));
  if (td->vcpus == 0) return leaf.refuse("vcpus");
  leaf.give_way();
  std::ranges::copy(td->built.digest().view(), td->mrtd.begin());
  td->op_state = OpState::kRunnable;
  return {};
}

/// Source: tdh_vp_create.c.
LeafResult Module::tdh_vp_create(Hpa tdr, Hpa tdvpr) {
  Leaf leaf(*state_, row::kVpCreate);
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
  Leaf leaf(*state_, row::kVpAddcx);
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRdx));
  TDX_ASSIGN(Td* const td, leaf.td(vcpu->tdr, Operand::kTdr, AllowedIn::kBuiltOrRuns));
  if (vcpu->initialized) return leaf.refuse("state");
  if (vcpu->pages.size() == kTdvpsPages) return leaf.refuse("count");
  TDX_TRY(leaf.free_page(page, Operand::kRcx));
  leaf.give_way();
  leaf.s.take_page(page, PageType::kTdvpx, vcpu->tdr, td->key());
  vcpu->pages.push_back(page);
  ++td->chldcnt;
  return {};
}

namespace {

/// An ID that another vCPU of the TD has: those of version 0 have none, which counts as 0.
bool has_x2apic_id(const Td& td, std::uint32_t id) {
  for (std::uint32_t index = 0; index < td.vcpus; ++index) {
    const auto other = td.x2apic_ids.find(index);
    if ((other == td.x2apic_ids.end() ? 0 : other->second) == id) return true;
  }
  return false;
}

}  // namespace

/// Source: tdh_vp_init.c of the tdxio branch; associate_vcpu_initial() counts the vCPU as one to
/// flush.
LeafResult Module::tdh_vp_init(Hpa tdvpr, std::uint64_t initial_rcx, const Processor& on,
                               const VpInitVersion& version) {
  Leaf leaf(*state_, row::kVpInit);
  if (!same_clock(on)) return leaf.refuse_number("tsc_adjust", kIa32TscAdjust);
  if (version.number > 1) return leaf.refuse("version");
  TDX_ASSIGN(Vcpu* const vcpu, leaf.vcpu(tdvpr, Operand::kRcx));
  const auto hold = version.number == 0 ? Leaf::Hold::kShared : Leaf::Hold::kExclusive;
  TDX_ASSIGN(Td* const td, leaf.td(vcpu->tdr, Operand::kTdr, AllowedIn::kBuiltOrRuns, hold));
  if (vcpu->pages.size() != kTdvpsPages) return leaf.refuse("pages");
  constexpr std::uint32_t kReady = 2;  // tdx_tdvps.h, VCPU_READY: not entered, or TDVPR is busy
  if (vcpu->initialized) return leaf.refuse_number("state", kReady);
  leaf.give_way();
  // Counted after the leaf gave way: another vCPU of the TD may have come first.
  if (td->vcpus == td->parameters.max_vcpus) return leaf.refuse("max_vcpus");
  if (version.number != 0) {
    if (version.x2apic_id >> 32U != 0) return leaf.refuse("x2apic");
    const auto id = static_cast<std::uint32_t>(version.x2apic_id);
    if (has_x2apic_id(*td, id)) return leaf.refuse_number("unique", id);
    td->x2apic_ids[td->vcpus] = id;
  }
  vcpu->index = td->vcpus++;
  vcpu->initialized = true;
  vcpu->initial_rcx = initial_rcx;
  associate(*td, *vcpu, on);
  return {};
}

/// Source: tdh_vp_enter.c. Who runs a vCPU is a logical processor here too: a vCPU that is
/// inside is associated with another one. It holds TDVPR and TDR, shared, until it leaves.
LeafResult Module::begin_vp_enter(Hpa tdvpr, const Processor& on) {
  State& s = *state_;
  const schedule::Section section(s.mutex, schedule::Section::kByParts);
  if (!is_page_aligned(raw(tdvpr))) return enter_refused("page", Operand::kRcx);
  if (!s.is_ram(tdvpr)) return enter_refused("range", Operand::kRcx);
  TryLock& page = s.pamt.entry(tdvpr).lock;
  if (!page.try_shared()) return enter_refused("busy", Operand::kRcx);
  Vcpu* const vcpu = s.find_vcpu(tdvpr);
  if (vcpu == nullptr) {
    page.release_shared();
    return enter_refused("type", Operand::kRcx);
  }
  Td* const td = s.find_td(vcpu->tdr);
  TEEIO_CHECK(td != nullptr, "a vCPU page keeps its TDR");
  TryLock& root = s.pamt.entry(td->tdr).lock;
  if (!root.try_shared()) {
    page.release_shared();
    return enter_refused("busy", Operand::kTdr);
  }
  LeafResult checked = check_vp_enter(*td, *vcpu, on);
  if (checked.ok()) {
    associate(*td, *vcpu, on);
    checked = check_associated(*td, on);
  }
  if (!checked.ok()) {
    root.release_shared();
    page.release_shared();
    return checked;
  }
  const bool stale = vcpu->entered_epoch != td->epoch;
  vcpu->inside = true;
  vcpu->entered_epoch = td->epoch;
  ++td->vcpu_refs[td->epoch & 1U];
  return {.status = {}, .rcx = stale ? 1U : 0U};
}

void Module::end_vp_enter(Hpa tdvpr, TdExit exit) {
  State& s = *state_;
  const schedule::Section section(s.mutex, schedule::Section::kByParts);
  Vcpu* const vcpu = s.find_vcpu(tdvpr);
  TEEIO_CHECK(vcpu != nullptr && vcpu->inside, "a vCPU leaves the TD that it entered");
  Td* const td = s.find_td(vcpu->tdr);
  TEEIO_CHECK(td != nullptr, "a vCPU page keeps its TDR");
  --td->vcpu_refs[vcpu->entered_epoch & 1U];
  vcpu->inside = false;
  s.pamt.entry(td->tdr).lock.release_shared();
  s.pamt.entry(tdvpr).lock.release_shared();
  if (exit == TdExit::kNonRecoverable) td->fatal = true;
}

}  // namespace teeio::tdx
