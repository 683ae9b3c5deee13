#include "explore/scenario/seeded.h"

#include <algorithm>

#include "base/check.h"
#include "explore/scenario/catalogue.h"
#include "schedule/plant_bug.h"

namespace teeio::explore {
namespace {

using enum StrategyKind;

// Why poorer strategies find it too.
constexpr std::string_view kState = "every order reaches the bad state";
constexpr std::string_view kLockdep = "an assertion as lockdep's sees it in every order";
constexpr std::string_view kWhoIsFirst = "it only matters which of the two comes first";
constexpr std::string_view kSmall = "the program is so small that random orders cover it";
constexpr std::string_view kWide = "the window is as long as a whole bind or unbind";
constexpr std::string_view kHandover = "every hand-over of the DSM's lock falls into the window";

constexpr std::string_view kDestroy = "close/destroy-against-vfio";
constexpr std::string_view kClose = "close/bound-vfio-iommufd-vm";

constexpr SeededScenario kScenarios[] = {
    {"vdevice-outlives-idevice", kDestroy, "tdx", kBounded, "R6", kWhoIsFirst},
    {"destroy-races-idevice", kDestroy, "tdx", kBounded, "R6", kWhoIsFirst},
    {"two-vdevices", "vdevice/two-for-one-device", "tdx", kBounded, "has two vDEVICEs", kSmall},
    {"vdevice-visible-early", "vdevice/taken-virtual-id", "tdx", kBounded, "that nobody holds",
     kSmall},
    {"unbind-leaks-lock", kDestroy, "tdx", kBounded, "locks what it holds", kLockdep},
    {"iova-align-overflow", "memory/iova-at-the-end", "tdx", kBounded, "not allowed", kState},
    {"unpin-without-lock", "dma-buf/unmap-against-revoke", "tdx", kBounded, "must be held",
     kLockdep},
    {"attach-races-revoke", "dma-buf/map-file-against-revoke", "tdx", kBounded, "still reaches it",
     kSmall},
    {"revoke-does-not-wait", "dma-buf/revoke-against-transfers", "tdx", kBounded, "still uses",
     kSmall},
    {"completion-used-up", "dma-buf/revoke-twice-against-transfers", "tdx", kBounded, "still uses",
     kSmall},
    {"revoked-after-reset", "memory/dma-buf-after-reset", "tdx", kBounded, "stays revoked", kState},
    {"vf-as-pf0", "card/bind-two-functions", "tdx", kBounded, "one was refused", kWide},
    {"tdi-unset", "request/guest-request-against-bind", "tdx", kBounded, "has no VM", kHandover},
    {"shared-handlers", "card/unbind-two-functions", "tdx", kBounded, "R10", kState},
    {"unmap-before-stop", "dma/unbind", "tdx", kBounded, "R2", kState},
    {"devif-forgotten", "dma/failing-exit", "tdx", kBounded, "R5", kState},
    {"duplicate-stream-links", "card/connect-two-cards", "tdx", kBounded, "one path", kState},
    {"raw-vm-pointer", "vfio/bind-iommufd-against-vm-close", "tdx", kBounded, "after it was freed",
     ""},
    {"fault-ignores-revoke", "memory/private-mmio-fault-against-unbind", "tdx", kPct, "R1", kWide},
    {"kvm-vfio-cycle", kDestroy, "tdx", kBounded, "R5", kState},
    {"gmem-not-invalidated", "memory/punch-hole-against-fault", "tdx", kBounded, "frames in use",
     kState},
    {"zap-races-d0", "memory/memory-enable-against-bind", "tdx", kBounded, "R4", kWide},
    {"mainline-close", kClose, "tdx", kBounded, "R4", kState},
    {"drain-forgotten", "iommu/invalidate-against-dma", "tdx", kBounded, "after its invalidation",
     kSmall},
    {"owner-unchecked", "iommu/shared-into-private", "sev", kBounded, "R7", kWhoIsFirst},
    {"keys-repeat", "card/connect-again", "tdx", kBounded, "R8", kState},
    {"device-ref-late", "vdevice/kvm-device-against-its-close", "tdx", kBounded, "R3", ""},
    {"nonce-unchecked", "adversary/lock-again", "tdx", kBounded, "R9", kState},
};

Options options_for(StrategyKind strategy, std::uint64_t schedules, double seconds) {
  Options options;
  options.strategy = strategy;
  options.max_schedules = schedules;
  options.seconds = seconds;
  return options;
}

}  // namespace

std::span<const SeededScenario> seeded_scenarios() { return kScenarios; }

Scenario seeded_scenario(const SeededScenario& seeded) {
  const auto all = catalogue();
  const auto scenario = std::ranges::find(all, seeded.scenario, &MachineScenario::name);
  TEEIO_CHECK(scenario != all.end(), "a seeded bug names no scenario of the catalogue");
  const auto designs = default_designs();
  const auto design = std::ranges::find(designs, seeded.design, &machine::Config::name);
  TEEIO_CHECK(design != designs.end(), "a seeded bug names no built-in design");
  return make_scenario(*scenario, *design);
}

SeededResult find_seeded(const SeededScenario& seeded, Compare compare, double seconds) {
  const schedule::PlantedBug planted(seeded.bug);
  Scenario scenario = seeded_scenario(seeded);
  scenario.expectation.text = seeded.expected;
  SeededResult result;
  result.found = run_scenario(scenario, options_for(seeded.strategy, kSeededSchedules, seconds));
  if (compare == Compare::kNo) return result;
  Options first = options_for(kReplay, 1, seconds);
  first.shrink = false;
  result.first_finds = run_scenario(scenario, first).failure.has_value();
  Options random = options_for(kRandom, kRandomSchedules, seconds);
  random.shrink = false;
  const ScenarioResult tried = run_scenario(scenario, random);
  if (tried.failure) result.random_finds = tried.schedules + tried.pruned;
  return result;
}

}  // namespace teeio::explore
