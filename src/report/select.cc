#include "report/select.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "report/vendor_calls.h"

namespace teeio::report {
namespace {

using object::Event;
using object::Fact;
using object::Lane;

template <std::size_t N>
bool any_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Calls that make or end the life of a device, whoever makes them.
constexpr std::array kLifeCalls = {
    std::string_view("KVM_CREATE_VM"),
    std::string_view("VFIO_DEVICE_BIND_IOMMUFD"),
    std::string_view("VFIO_DEVICE_RESET"),
    std::string_view("VFIO_DEVICE_TSM_BIND"),
    std::string_view("VFIO_DEVICE_TSM_UNBIND"),
    std::string_view("IOMMU_VIOMMU_ALLOC"),
    std::string_view("IOMMU_VDEVICE_ALLOC"),
    std::string_view("IOMMU_VDEVICE_TSM_OP"),
    std::string_view("IOMMU_VDEVICE_TSM_REQ"),
    std::string_view("IOMMU_DESTROY"),  // of a vDEVICE: with iommufd-v7 it unbinds
    std::string_view("release"),
    std::string_view("bind"),
    std::string_view("unbind"),
    std::string_view("disconnect"),
    std::string_view("KEY_EXCHANGE"),
    std::string_view("GET_MEASUREMENTS"),
    std::string_view("GET_DEVICE_INTERFACE_REPORT"),
    std::string_view("LOCK_INTERFACE"),
    std::string_view("START_INTERFACE"),
    std::string_view("STOP_INTERFACE"),
};

bool is_life_state(const Event& event) {
  switch (event.fact) {
    case Fact::kNone:
    case Fact::kTdiLockNonce:
    case Fact::kTdiStarted:
    case Fact::kMmioBlocked:
    case Fact::kIdeviceCreated:
    case Fact::kVdeviceCreated:
    case Fact::kViommuCreated:
    case Fact::kVmCreated:
    case Fact::kVmFileReleased:
    case Fact::kSequenceUsed:
    case Fact::kIdeviceDestroyed:
    case Fact::kHostTouched:  // of a bound device it breaks R4, and is shown for that
      return false;
    case Fact::kTdiState:
    case Fact::kGuestStart:
    case Fact::kDeviceReset:
    case Fact::kMmioMapped:
    case Fact::kMmioUnmapped:
    case Fact::kMetadataCreated:
    case Fact::kMetadataRemoved:
    case Fact::kTdiStopped:
    case Fact::kStreamBlocked:
    case Fact::kTrustedDmaOn:
    case Fact::kTrustedDmaOff:
    case Fact::kVmDestroyed:
    case Fact::kVmDead:
    case Fact::kBound:
    case Fact::kUnbound:
    case Fact::kVdeviceDestroyed:
    case Fact::kViommuDestroyed:
    case Fact::kHostMapped:
    case Fact::kHostMapRevoked:
    case Fact::kDma:
    case Fact::kKeyUsed:
    case Fact::kRefLeaked:
    case Fact::kUsedAfterPut:
    case Fact::kTdiStopFailed:
      return true;
  }
  return true;
}

bool is_life(const Event& event) {
  if (event.fact != Fact::kNone) return is_life_state(event);
  if (event.refused) return !is_expected(event);
  if (event.name == "sysfs write") return event.detail.find("/pci") != std::string::npos;
  return is_life_of_guest(event) || any_of(kLifeCalls, event.name);
}

/// The functions of whose life a run tells: those that were bound, else all.
std::set<Bdf> bound_functions(const std::deque<Event>& events) {
  std::set<Bdf> bound;
  for (const Event& event : events)
    if (event.fact == Fact::kBound && event.function) bound.insert(*event.function);
  return bound;
}

constexpr std::string_view kSpdm = "SPDM session and IDE keys";
constexpr std::string_view kBuild = "build the VM";
constexpr std::string_view kMetadata = "firmware's tables of the device";
constexpr std::string_view kTearDown = "take the VM apart";
constexpr std::string_view kRun = "run the guest";
constexpr std::string_view kMemory = "change the VM's memory";
constexpr std::string_view kAccept = "the guest accepts memory";

bool starts(const Event& event, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return event.name.starts_with(prefix); });
}

/// The group that an event belongs to at level kCalls; empty: shown by itself.
std::string_view group_of(const Event& event, bool connecting, bool running) {
  if (event.refused && !is_expected(event)) return {};
  if (connecting) return kSpdm;
  switch (work_of(event)) {
    case HostWork::kTearDown:
      return kTearDown;
    case HostWork::kAccept:
      return kAccept;
    case HostWork::kMemory:
      return running ? kMemory : kBuild;
    case HostWork::kBuild:
      return kBuild;
    case HostWork::kMetadata:
      return kMetadata;
    case HostWork::kOther:
      break;
  }
  if (starts(event, {"KVM_SET_USER_MEMORY", "KVM_SET_MEMORY"})) return running ? kMemory : kBuild;
  if (starts(event, {"KVM_CREATE_", "KVM_MEMORY_ENCRYPT_OP", "KVM_GET_", "KVM_CHECK_"}) ||
      event.fact == Fact::kVmCreated)
    return kBuild;
  if (starts(event, {"KVM_RUN", "pread", "pwrite"})) return kRun;
  return {};
}

/// Builds the selection: what is kept, each under the nearest kept call.
class Selection {
 public:
  void keep(const Event& event) {
    Event& copy = out_.emplace_back(event);
    copy.parent = shown_parent(event.parent);
    shown_.emplace(event.seq, event.seq);
    last_group_ = {};
  }
  void drop(const Event& event) { shown_.emplace(event.seq, shown_parent(event.parent)); }
  /// Adds an event to the group before it, or begins one.
  void group(const Event& event, std::string_view name) {
    if (last_group_ == name) {
      extend(event);
    } else {
      keep(event);
      first_ = event.seq;
      last_group_ = name;
    }
  }
  std::deque<Event> take() { return std::move(out_); }

 private:
  [[nodiscard]] std::uint64_t shown_parent(std::uint64_t parent) const {
    const auto at = shown_.find(parent);
    return at == shown_.end() ? 0 : at->second;
  }
  void extend(const Event& event) {
    Event& head = out_.back();
    if (head.name != last_group_) {  // its second: now it is a group
      head.name = last_group_;
      head.function.reset();
      head.outcome.clear();
      head.fact = Fact::kNone;
      head.refused = false;
    }
    head.detail = fmt::format("({}–{})", first_, event.seq);
    shown_.emplace(event.seq, head.seq);
  }

  std::deque<Event> out_;
  std::unordered_map<std::uint64_t, std::uint64_t> shown_;  ///< the shown event in an event's place
  std::string_view last_group_;
  std::uint64_t first_ = 0;
};

/// The events of the life, one bit each. A call of the guest's that only reads on, or comes
/// to nothing yet, a request that the program only passes on to firmware (what it does there
/// is shown), and what a session measures while it is set up, change nothing.
std::vector<bool> mark_life(const std::deque<Event>& events,
                            const std::set<std::uint64_t>& pinned) {
  const std::set<Bdf> bound = bound_functions(events);
  std::vector<bool> life(events.size());
  std::set<std::uint64_t> connects;
  std::set<std::uint64_t> fruitful;  // calls with something of the life inside
  std::set<std::uint64_t> spoken;    // those with a call of the life inside
  for (std::size_t i = events.size(); i-- > 0;) {
    const Event& event = events[i];
    // A card's reset reaches all its functions; the VM's is the one to tell of.
    const bool bystander = event.fact == Fact::kDeviceReset && !bound.empty() && event.function &&
                           !bound.contains(*event.function);
    const bool silent =
        !event.refused && ((event.name == "IOMMU_VDEVICE_TSM_REQ" && !spoken.contains(event.seq)) ||
                           (is_tried_again(event) && !fruitful.contains(event.seq)));
    life[i] = pinned.contains(event.seq) || (is_life(event) && !bystander && !silent);
    if (life[i] || fruitful.contains(event.seq)) fruitful.insert(event.parent);
    if ((life[i] && event.fact == Fact::kNone) || spoken.contains(event.seq))
      spoken.insert(event.parent);
  }
  bool started = false;
  std::set<Bdf> bound_before;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].name == "connect") connects.insert(events[i].seq);
    if (events[i].fact == Fact::kBound && events[i].function)
      bound_before.insert(*events[i].function);
    // VFIO resets what it opens: of a device that will be bound, but was not yet, it ends nothing.
    if (events[i].fact == Fact::kDeviceReset && events[i].function &&
        bound.contains(*events[i].function) && !bound_before.contains(*events[i].function))
      life[i] = pinned.contains(events[i].seq);
    if (events[i].fact == Fact::kBound) started = false;  // what is looked at now is another TDI
    started = started || events[i].fact == Fact::kGuestStart;
    if (started && is_act(events[i], GuestAct::kLook)) life[i] = pinned.contains(events[i].seq);
    if (events[i].name == "GET_MEASUREMENTS" && connects.contains(events[i].parent))
      life[i] = pinned.contains(events[i].seq);
  }
  return life;
}

std::deque<Event> select_life(const std::deque<Event>& events,
                              const std::set<std::uint64_t>& pinned) {
  const std::vector<bool> life = mark_life(events, pinned);
  Selection selection;
  for (std::size_t i = 0; i < events.size(); ++i)
    if (life[i])
      selection.keep(events[i]);
    else
      selection.drop(events[i]);
  return selection.take();
}

std::deque<Event> select_calls(const std::deque<Event>& events,
                               const std::set<std::uint64_t>& pinned) {
  Selection selection;
  std::set<std::uint64_t> connecting;  // calls inside of which an SPDM session is set up
  bool running = false;                // the guest has been entered
  for (const Event& event : events) {
    const bool inside = connecting.contains(event.parent);
    if (inside || (event.name == "connect" && event.to == Lane::kHostTsm))
      connecting.insert(event.seq);
    running = running || event.name == "KVM_RUN";
    const std::string_view group = group_of(event, inside, running);
    const bool silent = event.fact == Fact::kSequenceUsed;
    if (pinned.contains(event.seq))
      selection.keep(event);
    else if (!group.empty())
      selection.group(event, group);
    else if (silent)
      selection.drop(event);
    else
      selection.keep(event);
  }
  return selection.take();
}

}  // namespace

std::deque<Event> select(const std::deque<Event>& events, Level level,
                         const std::set<std::uint64_t>& pinned) {
  switch (level) {
    case Level::kLife:
      return select_life(events, pinned);
    case Level::kCalls:
      return select_calls(events, pinned);
    case Level::kAll:
      return events;
  }
  return events;
}

}  // namespace teeio::report
