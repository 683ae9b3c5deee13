// What a schedule of a built-in scenario costs on the three firmwares: with its machine made
// anew, and begun at its checkpoint. An iteration is a whole exploration.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"

namespace {

using namespace teeio;

enum class Begins { kAnew, kAtCheckpoint };

void schedules(benchmark::State& state, std::string_view name, Begins begins) {
  const auto scenario =
      std::ranges::find(explore::catalogue(), name, &explore::MachineScenario::name);
  std::uint64_t schedules = 0;
  for (auto _ : state)
    for (const machine::Config& design : explore::default_designs()) {
      explore::Scenario made = explore::make_scenario(*scenario, design);
      made.goes_back = begins == Begins::kAtCheckpoint;
      const explore::ScenarioResult result = explore::run_scenario(made, {});
      schedules += result.schedules + result.pruned;
    }
  state.counters["s/schedule"] = benchmark::Counter(
      static_cast<double>(schedules), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(schedules, bind_anew, "bind/against-exit", Begins::kAnew);
BENCHMARK_CAPTURE(schedules, bind, "bind/against-exit", Begins::kAtCheckpoint);
BENCHMARK_CAPTURE(schedules, dma_unbind_anew, "dma/unbind-against-exit", Begins::kAnew);
BENCHMARK_CAPTURE(schedules, dma_unbind, "dma/unbind-against-exit", Begins::kAtCheckpoint);

}  // namespace
