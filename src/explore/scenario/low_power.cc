// A function that its user lets sleep (VFIO_DEVICE_FEATURE_LOW_POWER_*), against whoever binds,
// resets, closes, removes or reaches it meanwhile.

#include <algorithm>
#include <iterator>
#include <string>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/mm/plain_files.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// VFs keep their PF awake; so a VF it is that sleeps.
constexpr std::string_view kSleeper = kVf0;

Result<void> set_feature(Vmm& vmm, std::uint32_t feature) {
  struct {
    std::uint32_t argsz, flags;
  } arg{sizeof(arg), VFIO_DEVICE_FEATURE_SET | feature};
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_FEATURE, arg));
  return {};
}
Result<void> enter(Vmm& vmm) { return set_feature(vmm, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY); }
Result<void> leave(Vmm& vmm) { return set_feature(vmm, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT); }

/// An eventfd that tells a program that its function was woken.
class Wakeup {
 public:
  explicit Wakeup(Vmm& vmm) : vmm_(vmm) {
    const auto fd = vmm_.install(object::Ref<object::File>(event_));
    TEEIO_CHECK(fd.has_value(), "an eventfd has no descriptor");
    fd_ = *fd;
  }
  Result<void> enter() {
    struct {
      std::uint32_t argsz, flags;
      abi::vfio_device_low_power_entry_with_wakeup entry;
    } arg{sizeof(arg),
          VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
          {.wakeup_eventfd = fd_, .reserved = 0}};
    TEEIO_TRY(vmm_.ioctl(vmm_.vfio, VFIO_DEVICE_FEATURE, arg));
    return {};
  }
  /// How often it was told since the last time.
  std::uint64_t take() {
    const Unexplored after;
    return event_->take();
  }

 private:
  Vmm& vmm_;
  object::Ref<mm::PlainEventFd> event_ = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  int fd_ = -1;
};

// --- A stay in low power, against others ---

constexpr Opponent kBind = {"bind", "a TSM bind",
                            [](Stage& stage, Vmm& vmm) { return stage.bind(vmm); }};
/// Of opponents().
constexpr std::string_view kAgainst[] = {"vfio-close", "exit", "device-removal", "reset"};

void stay_against(const Config& design, const Opponent& opponent) {
  Stage stage(design);
  Vmm& vmm = stage.ready(kSleeper);
  if (opponent.prepare != nullptr) opponent.prepare(stage, vmm);
  stage.play({{"sleeper",
               [&] {
                 if (enter(vmm)) (void)leave(vmm);
               }},
              {opponent.name, [&] { (void)opponent.act(stage, vmm); }, opponent.removes}});
}

/// It is told at most once: by its own exit, if nobody else has woken the function.
void stay_with_wakeup_against(const Config& design, const Opponent& opponent) {
  Stage stage(design);
  Vmm& vmm = stage.ready(kSleeper);
  Wakeup wakeup(vmm);
  if (opponent.prepare != nullptr) opponent.prepare(stage, vmm);
  stage.play({{"sleeper",
               [&] {
                 if (wakeup.enter()) (void)leave(vmm);
               }},
              {opponent.name, [&] { (void)opponent.act(stage, vmm); }, opponent.removes}});
  TEEIO_CHECK(wakeup.take() <= 1, "one wake-up was told twice");
}

/// One write of the program's to its function's configuration, taken back at the end.
struct Write {
  std::string_view name, words;
  Result<std::uint16_t> (*place)(Vmm& vmm);
  std::uint16_t value, usual;
};
constexpr Write kWrites[] = {
    {"memory-disable", "Memory Space Enable cleared",
     [](Vmm&) -> Result<std::uint16_t> { return kCommandRegister; }, kCommandMaster,
     kCommandMaster | kCommandMemory},
    {"d3", "a write of D3hot", power_control, 3, 0},
};

void stay_against_write(const Config& design, const Write& write) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kSleeper));
  must(vmm.bind_iommufd());
  const auto at = write.place(vmm);
  TEEIO_CHECK(at.has_value(), "the function has no such register");
  must(write_config(vmm, *at, write.usual));
  bool written = false;
  stage.play({{"sleeper",
               [&] {
                 if (enter(vmm)) (void)leave(vmm);
               }},
              {write.name, [&] { written = write_config(vmm, *at, write.value).has_value(); }}});
  const Unexplored after;
  TEEIO_CHECK(written, "a program cannot write to its sleeping function");
  must(write_config(vmm, *at, write.usual));
  TEEIO_CHECK(works_as_shared(vmm), "a function that slept does not answer");
}

// --- Who wakes it ---

/// __vfio_pci_runtime_pm_exit() ends low power with the first of them.
void two_readers(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kSleeper));
  must(vmm.bind_iommufd());
  Wakeup wakeup(vmm);
  must(wakeup.enter());
  bool first = false, second = false;
  stage.play({{"first", [&] { first = works_as_shared(vmm); }},
              {"second", [&] { second = works_as_shared(vmm); }}});
  TEEIO_CHECK(first && second, "a sleeping function does not answer");
  TEEIO_CHECK(wakeup.take() == 1, "a program was not told once that its function was woken");
}

/// Without an eventfd it sleeps on between calls; the last of them lets it.
void readers_while_it_sleeps(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kSleeper));
  must(vmm.bind_iommufd());
  must(enter(vmm));
  bool first = false, second = false;
  stage.play({{"first", [&] { first = works_as_shared(vmm); }},
              {"second", [&] { second = works_as_shared(vmm); }}});
  TEEIO_CHECK(first && second, "a sleeping function does not answer");
  const Unexplored after;
  const auto state = stage.root().cat(std::string(kCard.substr(0, kCard.rfind('/'))) +
                                      "/0000:01:00.1/power_state");
  TEEIO_CHECK(state && *state == "D3hot\n", "a function that nobody uses does not sleep on");
  must(leave(vmm));
}

void entry_against_exit(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kSleeper));
  must(vmm.bind_iommufd());
  stage.play({{"first", [&] { (void)enter(vmm); }}, {"second", [&] { (void)leave(vmm); }}});
  const Unexplored after;
  must(leave(vmm));
  TEEIO_CHECK(works_as_shared(vmm), "a function that slept does not answer");
}

void add_stays(std::vector<MachineScenario>& all, const Opponent& opponent) {
  const std::string name(opponent.name), words(opponent.words);
  all.push_back({.name = "low-power/stay-against-" + name,
                 .description = "a stay in low power against " + words,
                 .body = [&opponent](const Config& design) { stay_against(design, opponent); },
                 .fits = has_every_door});
  all.push_back(
      {.name = "low-power/stay-with-wakeup-against-" + name,
       .description = "a stay in low power, with an eventfd for its end, against " + words,
       .body = [&opponent](const Config& design) { stay_with_wakeup_against(design, opponent); },
       .fits = has_every_door});
}

}  // namespace

void add_low_power_scenarios(std::vector<MachineScenario>& all) {
  add_stays(all, kBind);
  for (const Opponent& opponent : opponents())
    if (std::ranges::find(kAgainst, opponent.name) != std::end(kAgainst)) add_stays(all, opponent);
  for (const Write& write : kWrites)
    all.push_back({.name = "low-power/stay-against-" + std::string(write.name),
                   .description = "a stay in low power against " + std::string(write.words),
                   .body = [&write](const Config& d) { stay_against_write(d, write); },
                   .fits = has_every_door});
  all.push_back({.name = "low-power/two-readers",
                 .description = "two who wake a sleeping function: its user is told once",
                 .body = two_readers,
                 .fits = has_every_door});
  all.push_back({.name = "low-power/readers",
                 .description = "two who reach a sleeping function, which sleeps on afterwards",
                 .body = readers_while_it_sleeps,
                 .fits = has_every_door});
  all.push_back({.name = "low-power/entry-against-exit",
                 .description = "LOW_POWER_ENTRY against LOW_POWER_EXIT",
                 .body = entry_against_exit,
                 .fits = has_every_door});
}

}  // namespace teeio::explore
