#include <algorithm>

#include "base/check.h"
#include "host/kvm/rmm/realm_vm.h"

// A realm's vCPUs: their life, and entering and leaving the realm.

namespace teeio::kvm {
namespace {

constexpr std::uint32_t kGenericV8 = 5;        // KVM_ARM_TARGET_GENERIC_V8
constexpr std::uint64_t kPowerOff = 1U << 0U;  // KVM_ARM_VCPU_POWER_OFF
constexpr std::uint64_t kPsci0_2 = 1U << 2U;   // KVM_ARM_VCPU_PSCI_0_2
constexpr std::uint64_t kKnownFeatures = kPsci0_2 | kPowerOff;

constexpr Errno kNoExec{8};  // ENOEXEC: nobody else gives it

constexpr std::uint64_t kSp = 31;
constexpr std::uint64_t kPc = 32;

}  // namespace

RealmVm::VcpuState& RealmVm::state_of(Vcpu& vcpu) {
  const schedule::Lock lock(vcpus_lock_);
  return vcpus_.at(vcpu.id());
}

Result<void> RealmVm::vcpu_created(Vcpu& vcpu) {
  const schedule::Lock config(config_lock_);
  if (runs_code() && active_.load())
    return fail(Errno::kBusy, "an active realm gets no further vCPU");
  const schedule::Lock lock(vcpus_lock_);
  TEEIO_CHECK(vcpus_.emplace(vcpu.id(), VcpuState{.vcpu = &vcpu}).second,
              "two vCPUs have one number");
  return {};
}

/// kvm_destroy_rec().
void RealmVm::vcpu_freed(Vcpu& vcpu) {
  VcpuState state;
  {
    const schedule::Lock config(config_lock_);  // activate() goes through them
    const schedule::Lock lock(vcpus_lock_);
    const auto at = vcpus_.find(vcpu.id());
    state = at->second;
    vcpus_.erase(at);
  }
  if (state.in_realm) host_.rmm().rec_exit(state.rec, state.run, {});
  if (raw(state.run) != 0) host_.memory().free_page(state.run);
  if (raw(state.rec) == 0) return;
  if (host_.finish(host_.insist([&] { return host_.rmm().rec_destroy(state.rec); })).ok())
    return host_.free_granule(state.rec);
  host_.trace().fact(object::Lane::kKvm, object::Fact::kRefLeaked, "the RMM keeps a REC",
                     {.vm = vm_.number(), .a = 1});
}

Result<void> RealmVm::init_vcpu(Vcpu& vcpu, std::uint32_t target, std::uint64_t features) {
  if (target != kGenericV8) return fail(Errno::kInval, "the vCPU's target is another");
  if ((features & ~kKnownFeatures) != 0) return fail(Errno::kNoEnt, "the feature is not known");
  if ((features & kPsci0_2) == 0) return fail(Errno::kInval, "a realm's vCPU has PSCI 0.2");
  const schedule::Lock config(config_lock_);
  if (active_.load()) return fail(Errno::kBusy, "the realm is active");
  VcpuState& state = state_of(vcpu);
  state.initialised = true;
  state.powered_off = (features & kPowerOff) != 0;
  const schedule::Lock lock(vcpus_lock_);
  if (state.powered_off)
    off_.insert(vcpu.id());
  else
    off_.erase(vcpu.id());
  state.shown = {};
  return {};
}

Result<std::uint64_t> RealmVm::get_register(Vcpu& vcpu, std::uint64_t number) {
  const schedule::Lock config(config_lock_);
  const VcpuState& state = state_of(vcpu);
  if (!state.initialised) return fail(kNoExec, "KVM_ARM_VCPU_INIT comes first");
  if (number < state.shown.x.size()) return state.shown.x[number];
  if (number == kPc) return state.shown.pc;
  return fail(Errno::kInval, "a realm's vCPU does not show that register");
}

/// validate_realm_set_reg().
Result<void> RealmVm::set_register(Vcpu& vcpu, std::uint64_t number, std::uint64_t value) {
  const schedule::Lock config(config_lock_);
  VcpuState& state = state_of(vcpu);
  if (!state.initialised) return fail(kNoExec, "KVM_ARM_VCPU_INIT comes first");
  if (number == kSp || number > kPc)
    return fail(Errno::kInval, "a realm's vCPU does not show that register");
  (number == kPc ? state.shown.pc : state.shown.x[number]) = value;
  return {};
}

bool RealmVm::vcpu_is_off(Vcpu& vcpu) {
  const schedule::Lock lock(vcpus_lock_);
  return off_.contains(vcpu.id());
}

/// kvm_create_rec().
Result<void> RealmVm::create_rec(VcpuState& state) {
  if (!state.initialised) return fail(kNoExec, "KVM_ARM_VCPU_INIT comes first");
  TEEIO_ASSIGN(state.run, host_.memory().alloc_page());
  TEEIO_ASSIGN(state.rec, host_.alloc_granule());
  rmm::RecParams params{.flags = state.powered_off ? 0 : rmm::RecParams::kRunnable,
                        .mpidr = rmm::rec_mpidr(state.vcpu->id()),
                        .pc = state.shown.pc};
  std::copy_n(state.shown.x.begin(), params.gprs.size(), params.gprs.begin());
  const auto created = host_.create_rec(granules_.rd, state.rec, params);
  if (created && created->ok()) return {};
  host_.free_granule(std::exchange(state.rec, Hpa{0}));
  return fail(Errno::kNxio, "RMI_REC_CREATE failed");
}

/// kvm_activate_realm(): what fails in between leaves a dead VM.
Result<void> RealmVm::activate() {
  const schedule::Lock config(config_lock_);
  if (active_.load()) return {};
  std::vector<VcpuState*> states;
  {
    const schedule::Lock lock(vcpus_lock_);
    for (auto& [id, state] : vcpus_) states.push_back(&state);
  }
  Result<void> done;
  for (VcpuState* state : states)
    if (done) done = create_rec(*state);
  if (done && !host_.rmm().realm_activate(granules_.rd).ok())
    done = fail(Errno::kNxio, "RMI_REALM_ACTIVATE failed");
  if (!done) vm_.bug("the realm's activation failed half-way");
  if (done) active_.store(true);
  return done;
}

Result<void> RealmVm::vcpu_pre_run(Vcpu& vcpu) {
  if (!state_of(vcpu).initialised) return fail(kNoExec, "KVM_ARM_VCPU_INIT comes first");
  return active_.load() ? Result<void>{} : activate();
}

/// REC_ENTER, which may come back before the realm has run. A page that the monitor goes on
/// missing, as one that the program took from the realm and gave back, which only the realm may
/// accept, would have KVM try for ever.
RealmVm::Left RealmVm::enter(VcpuState& state, VcpuExit& exit) {
  constexpr int kTries = 64;
  for (int i = 0; i < kTries; ++i)
    if (const Left left = enter_once(state, exit); left != Left::kAgain) return left;
  return Left::kFails;
}

RealmVm::Left RealmVm::enter_once(VcpuState& state, VcpuExit& exit) {
  rmm::RecEnter record{.flags = std::exchange(state.enter_flags, 0), .gprs = state.shown.x};
  if (!host_.memory().write(state.run, record.encode())) return Left::kFails;
  hw::ArmCore& core = *state.vcpu->cpu()->arm();
  hw::ArmRegisters registers = core.arm_registers();
  auto* const exceptions = dynamic_cast<hw::ArmExceptions*>(&core);
  const auto entered = host_.rmm().rec_enter(state.rec, state.run, registers, exceptions);
  if (!entered.ok()) return Left::kFails;
  core.set_arm_registers(registers);
  if (entered.x1 != static_cast<std::uint64_t>(rmm::RecExit::kRealm))
    return left_realm(state, exit);
  state.in_realm = true;
  return Left::kRuns;
}

Result<void> RealmVm::vcpu_enter(Vcpu& vcpu) {
  VcpuState& state = state_of(vcpu);
  if (state.in_realm) return {};
  if (state.last.reason == rmm::RecExit::kRipasChange) {
    TEEIO_ASSIGN(const bool matches, complete_ripas(state));
    // kvm_complete_ripas_change(): the exit is made again; its record is still there.
    if (!matches) return fail(Errno::kFault, "the memory's attribute is not what the realm asked");
  }
  VcpuExit unused;
  switch (enter(state, unused)) {
    case Left::kRuns:
      return {};
    case Left::kExits:
      // As above: the page for the answer to a call.
      return fail(Errno::kFault, "the memory's attribute is not what the realm needs");
    case Left::kAgain:
    case Left::kFails:
      break;
  }
  return fail(Errno::kIo, "RMI_REC_ENTER failed, or always comes back");
}

/// What is no call of the realm's. That the engine has looked up is no exit of a REC.
void RealmVm::vcpu_leave(Vcpu& vcpu, const hw::CpuExit& why) {
  VcpuState& state = state_of(vcpu);
  using Reason = hw::CpuExit::Reason;
  if (why.reason == Reason::kGuestCall || why.reason == Reason::kKicked) return;
  host_.rmm().rec_exit(state.rec, state.run, why);
  state.in_realm = false;
  state.last = {.reason = rmm::RecExit::kSync};
  if (why.reason == hw::CpuExit::Reason::kMmio) state.enter_flags = rmm::kEmulatedMmio;
}

}  // namespace teeio::kvm
