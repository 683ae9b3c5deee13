
#include "host/kvm/rmm/realm_vm.h"

// Why a realm leaves, and what KVM does about it: arch/arm64/kvm/rmi-exit.c as posted.

namespace teeio::kvm {
namespace {

constexpr std::uint64_t kSmcccNotSupported = ~std::uint64_t{0};

}  // namespace

VmOps::GuestCallAction RealmVm::guest_call(Vcpu& vcpu, VcpuExit& exit) {
  if (vcpu.guest_exit().call != hw::GuestCall::kFirmware) return VmOps::guest_call(vcpu, exit);
  VcpuState& state = state_of(vcpu);
  hw::ArmCore& core = *vcpu.cpu()->arm();
  hw::ArmRegisters registers = core.arm_registers();
  const bool stays = host_.rmm().realm_call(state.rec, state.run, registers);
  core.set_arm_registers(registers);
  if (stays) return GuestCallAction::kResume;
  state.in_realm = false;
  Left left = left_realm(state, exit);
  if (left == Left::kAgain) left = enter(state, exit);
  switch (left) {
    case Left::kRuns:
      return GuestCallAction::kResume;
    case Left::kExits:
      return GuestCallAction::kExit;
    case Left::kAgain:
    case Left::kFails:
      break;
  }
  exit.reason = VcpuExit::Reason::kInternalError;
  return GuestCallAction::kExit;
}

/// handle_rec_exit().
RealmVm::Left RealmVm::left_realm(VcpuState& state, VcpuExit& exit) {
  Bytes bytes(kPageSize - rmm::RecExitRecord::kOffset);
  if (!host_.memory().read(state.run + rmm::RecExitRecord::kOffset, bytes)) return Left::kFails;
  state.last = rmm::RecExitRecord::decode(bytes);
  const rmm::RecExitRecord& last = state.last;
  switch (last.reason) {
    case rmm::RecExit::kHostCall: {
      // rec_exit_host_call(): SMCCC calls that KVM has nothing for, unless they are forwarded.
      state.shown.x = last.gprs;
      const auto function = static_cast<std::uint32_t>(last.gprs[0]);
      if (action_of(function) != SmcccAction::kForward) {
        state.shown.x[0] = kSmcccNotSupported;
        return Left::kAgain;
      }
      exit.reason = VcpuExit::Reason::kVendor;
      exit.number = std::to_underlying(RealmExit::kHostCall);
      exit.args[0] = function;
      auto call = host_.trace().call(object::Lane::kGuest, object::Lane::kVmm, "RSI_HOST_CALL",
                                     {.vm = vm_.number(), .a = function});
      return Left::kExits;
    }
    case rmm::RecExit::kRipasChange:
      exit.reason = VcpuExit::Reason::kMemoryFault;
      exit.gpa = Gpa{last.base};
      exit.length = last.top - last.base;
      exit.is_private = last.ripas == static_cast<std::uint8_t>(rmm::Ripas::kRam);
      return Left::kExits;
    case rmm::RecExit::kVdevRequest: {
      // Which VDEV that is KVM knows by itself; see docs/divergences.md.
      if (const auto vdev = host_.vdev_named(last.vdev_id, granules_.rd))
        (void)host_.insist([&] { return host_.rmm().vdev_complete(state.rec, *vdev); });
      return Left::kAgain;
    }
    case rmm::RecExit::kDevMemMap: {
      exit.reason = VcpuExit::Reason::kVendor;
      exit.number = std::to_underlying(RealmExit::kMapping);
      exit.args[0] = last.vdev_id;
      exit.args[1] = last.base;
      exit.args[2] = last.top;
      exit.args[3] = last.pa;
      auto call =
          host_.trace().call(object::Lane::kGuest, object::Lane::kVmm, "RSI_VDEV_VALIDATE_MAPPING",
                             {.vm = vm_.number(), .a = last.vdev_id, .b = last.base});
      return Left::kExits;
    }
    case rmm::RecExit::kSync: {
      // The monitor misses a page of the realm's.
      const Gpa page{last.hpfar >> 4U << kPageShift};
      const FaultOutcome outcome = vm_.mmu().fault_private(page);
      if (outcome.kind == FaultOutcome::Kind::kRetry) return Left::kAgain;
      if (outcome.kind != FaultOutcome::Kind::kMemoryFault) return Left::kFails;
      exit.reason = VcpuExit::Reason::kMemoryFault;
      exit.gpa = page;
      exit.length = kPageSize;
      exit.is_private = true;
      return Left::kExits;
    }
    case rmm::RecExit::kPsci:
      return power_call(state, exit);
    case rmm::RecExit::kIrq:
    case rmm::RecExit::kRealm:
      return Left::kAgain;
  }
  return Left::kFails;
}

/// rec_exit_psci(), and kvm_psci_call() of arch/arm64/kvm/psci.c as far as a monitor leaves it.
RealmVm::Left RealmVm::power_call(VcpuState& state, VcpuExit& exit) {
  state.shown.x = state.last.gprs;
  switch (state.last.gprs[0] & 0xffff'ffffU & ~rmm::kPsci64Bits) {
    case rmm::kPsciCpuOn:
      complete_power_call(state, true);
      return Left::kAgain;
    case rmm::kPsciAffinityInfo:
      complete_power_call(state, false);
      return Left::kAgain;
    case rmm::kPsciCpuOff: {
      const schedule::Lock lock(vcpus_lock_);
      off_.insert(state.vcpu->id());
      return Left::kRuns;  // when it is on again
    }
    case rmm::kPsciSystemOff:
      return system_event(SystemEvent::kShutdown, exit);
    case rmm::kPsciSystemReset:
      return system_event(SystemEvent::kReset, exit);
    default:
      return Left::kAgain;  // CPU_SUSPEND: no event is waited for
  }
}

/// kvm_psci_vcpu_on() and kvm_psci_vcpu_affinity_info() with realm_psci_complete(). The monitor
/// has seen that there is such a REC.
void RealmVm::complete_power_call(VcpuState& state, bool turns_on) {
  const std::uint64_t mpidr = state.last.gprs[1];
  const auto id = static_cast<std::uint32_t>(
      rmm::rec_index((mpidr & 0xff'ffffU) | (mpidr >> 32U & 0xffU) << 24U));
  Hpa target{0};
  {
    const schedule::Lock lock(vcpus_lock_);
    if (const auto found = vcpus_.find(id); found != vcpus_.end()) target = found->second.rec;
  }
  const auto completed =
      host_.insist([&] { return host_.rmm().psci_complete(state.rec, target, 0); });
  const schedule::Lock lock(vcpus_lock_);
  if (turns_on && completed.ok()) off_.erase(id);
}

/// kvm_prepare_system_event().
RealmVm::Left RealmVm::system_event(SystemEvent event, VcpuExit& exit) {
  exit.reason = VcpuExit::Reason::kVendor;
  exit.number = std::to_underlying(RealmExit::kSystem);
  exit.args[0] = std::to_underlying(event);
  {
    const schedule::Lock lock(vcpus_lock_);
    for (const auto& [id, state] : vcpus_) off_.insert(id);
  }
  // kvm_make_all_cpus_request(): who runs looks whether it is off.
  vm_.flush_remote_tlbs(Gpa{0}, kPageSize);
  return Left::kExits;
}

std::optional<VcpuExit> RealmVm::complete_exit(Vcpu& vcpu, const VcpuExit& exit,
                                               const VcpuCompletion& completion) {
  if (exit.number != std::to_underlying(RealmExit::kMapping)) return std::nullopt;
  // kvm_complete_vdev_map_validate().
  VcpuState& state = state_of(vcpu);
  if (completion.ret != 0)
    state.enter_flags = rmm::kRejectDevMem;
  else
    validate(state, Gpa{completion.values[0]});
  return std::nullopt;
}

void RealmVm::validate(VcpuState& state, Gpa top) {
  rmm::RmiResult valid{.x1 = state.last.base};
  while (valid.x1 < raw(top)) {
    const auto step = host_.insist(
        [&] { return host_.rmm().rtt_dev_validate(granules_.rd, state.rec, Gpa{valid.x1}, top); });
    if (!step.ok()) {
      state.enter_flags = rmm::kRejectDevMem;
      return;
    }
    valid = step;
  }
}

bool RealmVm::matches(Gpa base, Gpa top, bool is_private) const {
  for (Gpa page = base; page < top; page = page + kPageSize)
    if (vm_.is_private(page) != is_private) return false;
  return true;
}

/// kvm_complete_ripas_change(). False: the program has not made the memory what the realm
/// wants it to be.
Result<bool> RealmVm::complete_ripas(VcpuState& state) {
  const Gpa base{state.last.base};
  const Gpa top{state.last.top};
  const bool ram = state.last.ripas == static_cast<std::uint8_t>(rmm::Ripas::kRam);
  if (!matches(base, top, ram)) return false;
  const auto changed = vm_.mmu().locked([&]() -> rmm::RmiResult {
    rmm::RmiResult step{.x1 = raw(base)};
    while (step.ok() && step.x1 < raw(top)) {
      const Gpa at{step.x1};
      step = with_tables(
          at, [&] { return host_.rmm().rtt_set_ripas(granules_.rd, state.rec, at, top); });
    }
    return step;
  });
  state.last = {.reason = rmm::RecExit::kIrq};
  if (!changed.ok()) state.enter_flags |= rmm::kRejectRipas;
  vm_.flush_remote_tlbs(base, top - base);
  return true;
}

/// kvm_smccc_set_filter() of arch/arm64/kvm/hypercalls.c.
Result<void> RealmVm::filter_calls(std::uint32_t first, std::uint32_t count, SmcccAction action) {
  const std::uint32_t last = first + (count - 1);
  if (count == 0 || last < first) return fail(Errno::kInval, "the range is empty, or wraps");
  if (active_.load()) return fail(Errno::kBusy, "the realm runs already");
  const schedule::Lock lock(filters_lock_);
  for (const Filter& other : filters_)
    if (first <= other.last && other.first <= last)
      return fail(Errno::kExist, "another filter has a part of the range");
  filters_.push_back({.first = first, .last = last, .action = action});
  return {};
}

RealmVm::SmcccAction RealmVm::action_of(std::uint32_t function) {
  const schedule::Lock lock(filters_lock_);
  for (const Filter& filter : filters_)
    if (function >= filter.first && function <= filter.last) return filter.action;
  return SmcccAction::kHandle;
}

}  // namespace teeio::kvm
