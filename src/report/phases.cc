#include "report/phases.h"

#include <unordered_map>

#include "report/vendor_calls.h"

namespace teeio::report {
namespace {

using object::Event;
using object::Fact;
using object::Lane;

/// Where a phase begins that `event` reveals.
enum class Start : std::uint8_t {
  kHere,  ///< at the event
  kCall,  ///< at the program's call around it, if that is of this phase alone
  kOwn,   ///< likewise; but what is part of the call that opened the phase before opens none
};

struct Trigger {
  std::string_view title;  ///< empty: none
  Start start = Start::kHere;
};

/// What a guest asks of firmware, on each vendor.
Trigger of_guest_call(const Event& event, std::string_view before) {
  if (is_act(event, GuestAct::kAttest) && before == "bind") return {"attest"};
  if (is_act(event, GuestAct::kAcceptMmio)) return {"accept private MMIO"};
  // Of a second VM's it may come behind the first one's end.
  const bool may_give_up = before == "trusted DMA" || before == "a shared device again";
  if (is_act(event, GuestAct::kGiveUpDma) && may_give_up) return {"unbind"};
  if (is_act(event, GuestAct::kAcceptDma)) return {"accept trusted DMA"};
  if (is_act(event, GuestAct::kStart)) return {"start"};
  return {};
}

Trigger of_call(const Event& event, std::string_view before) {
  if (event.from == Lane::kHostTsm && event.to == Lane::kHostTsm) {
    if (event.name == "connect") return {"connect: SPDM session and IDE keys", Start::kCall};
    if (event.name == "disconnect") return {"disconnect", Start::kCall};
  }
  if (event.name == "KVM_CREATE_VM" || event.name == "KVM_GET_API_VERSION")
    return {"build the VM, give it the device"};
  if (event.to == Lane::kHostTsm) {
    if (event.name == "bind") return {"bind", Start::kCall};
    if (event.name == "unbind") return {"unbind", Start::kCall};
  }
  if (before == "bind" &&
      (event.name == "GET_MEASUREMENTS" || event.name == "GET_DEVICE_INTERFACE_REPORT"))
    return {"attest", Start::kOwn};
  if (const Trigger guest = of_guest_call(event, before); !guest.title.empty()) return guest;
  if (event.detail == "START_INTERFACE" || event.name == "START_INTERFACE") return {"start"};
  if (event.name == "release" && event.from == Lane::kVmm) return {"close"};
  return {};
}

Trigger of_state(const Event& event, std::string_view before) {
  switch (event.fact) {
    case Fact::kMmioMapped:
      return {"accept private MMIO", Start::kCall};
    case Fact::kTrustedDmaOn:
      return {"accept trusted DMA"};
    case Fact::kGuestStart:
      return {"start", Start::kCall};
    case Fact::kDma:
      if (event.a != static_cast<std::uint64_t>(object::DmaKind::kSharedToShared))
        return {"trusted DMA", Start::kCall};
      return before == "unbind" ? Trigger{"a shared device again", Start::kCall} : Trigger{};
    case Fact::kHostTouched:
      return before == "unbind" ? Trigger{"a shared device again", Start::kCall} : Trigger{};
    case Fact::kVmDestroyed:
      return {"close", Start::kCall};
    case Fact::kNone:
    case Fact::kTdiState:
    case Fact::kTdiLockNonce:
    case Fact::kTdiStarted:
    case Fact::kDeviceReset:
    case Fact::kMmioBlocked:
    case Fact::kMmioUnmapped:
    case Fact::kMetadataCreated:
    case Fact::kMetadataRemoved:
    case Fact::kTdiStopped:
    case Fact::kStreamBlocked:
    case Fact::kTrustedDmaOff:
    case Fact::kVmCreated:
    case Fact::kVmDead:
    case Fact::kBound:
    case Fact::kUnbound:
    case Fact::kIdeviceCreated:
    case Fact::kIdeviceDestroyed:
    case Fact::kVdeviceCreated:
    case Fact::kVdeviceDestroyed:
    case Fact::kViommuCreated:
    case Fact::kViommuDestroyed:
    case Fact::kVmFileReleased:
    case Fact::kHostMapped:
    case Fact::kHostMapRevoked:
    case Fact::kKeyUsed:
    case Fact::kSequenceUsed:
    case Fact::kRefLeaked:
    case Fact::kUsedAfterPut:
    case Fact::kTdiStopFailed:
      return {};
  }
  return {};
}

/// After which phases a run goes on to a later one of its life, and not back:
/// what the host does on its way out opens no phase of the guest's.
bool may_follow(std::string_view before, std::string_view next) {
  if (before == next) return false;
  if (before == "unbind" || before == "close")
    return next == "unbind" || next == "close" || next.starts_with("a shared") ||
           next.starts_with("bind") || next.starts_with("connect") || next == "disconnect" ||
           next.starts_with("build");
  return next != "accept private MMIO" || (before != "start" && before != "trusted DMA");
}

}  // namespace

std::vector<Phase> find_phases(const std::deque<Event>& events) {
  std::vector<Phase> phases;
  std::unordered_map<std::uint64_t, const Event*> roots;  // the outermost call around each event
  for (const Event& event : events) {
    const auto parent = roots.find(event.parent);
    const Event* const root = parent == roots.end() ? &event : parent->second;
    roots.emplace(event.seq, root);
    const std::string_view before = phases.empty() ? std::string_view() : phases.back().title;
    const Trigger found =
        event.fact == Fact::kNone ? of_call(event, before) : of_state(event, before);
    if (found.title.empty() || !may_follow(before, found.title)) continue;
    const bool rest = !phases.empty() && root->seq <= phases.back().seq;
    if (found.start == Start::kOwn && rest && root->name != "KVM_RUN") continue;
    // A call that runs the guest or closes a file, or began in the phase before,
    // is not of this one alone.
    const bool own = root->name != "KVM_RUN" && root->name != "release" && !rest;
    const std::uint64_t start = found.start != Start::kHere && own ? root->seq : event.seq;
    if (!phases.empty() && start <= phases.back().seq) continue;
    phases.push_back({start, found.title});
  }
  return phases;
}

}  // namespace teeio::report
