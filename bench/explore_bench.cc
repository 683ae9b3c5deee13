// How fast orders are explored, and how many are needed. Toys here; whole
// machines by `teeio explore`, which prints schedules and points itself.

#include <benchmark/benchmark.h>

#include <functional>
#include <vector>

#include "explore/depth_first.h"
#include "explore/dpor.h"
#include "explore/exploration.h"
#include "explore/random_walk.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace {

using namespace teeio;
using explore::DepthFirst;
using schedule::Lock;
using schedule::Mutex;
using schedule::Task;

/// Three tasks that each lock one mutex twice around an increment: 90 orders.
/// The same program is what Relacy is measured with (docs/performance.md).
void lock_twice_each() {
  Mutex mutex{schedule::Rank::kLeaf};
  int sum = 0;
  const auto work = [&] {
    for (int i = 0; i < 2; ++i) {
      const Lock lock(mutex);
      ++sum;
    }
  };
  Task a = Task::spawn("a", work);
  Task b = Task::spawn("b", work);
  Task c = Task::spawn("c", work);
  a.join();
  b.join();
  c.join();
  TEEIO_CHECK(sum == 6, "an increment is lost");
}

/// Two long tasks that meet at few places, as system calls do: each takes a lock
/// of its own and a count a hundred times, and one that both use ten times.
void meet_sometimes() {
  Mutex shared{schedule::Rank::kUnranked};
  const auto work = [&] {
    Mutex own{schedule::Rank::kUnranked};
    schedule::RefCount count{3};
    for (int i = 0; i < 100; ++i) {
      const Lock lock(own);
      count.increment();
      (void)count.decrement();
      if (i % 25 == 0) const Lock both(shared);
    }
  };
  Task a = Task::spawn("a", work);
  Task b = Task::spawn("b", work);
  a.join();
  b.join();
}

using Body = void (*)();

/// The whole exploration, again and again.
void exhaust(benchmark::State& state, explore::Strategy& (*make)(), Body body) {
  std::uint64_t points = 0;
  std::uint64_t schedules = 0;
  std::uint64_t pruned = 0;
  for (auto _ : state) {
    explore::Strategy& strategy = make();
    const auto result = explore::run_schedules(strategy, body, 10'000'000);
    delete &strategy;
    points += result.points;
    schedules += result.schedules;
    pruned += result.pruned;
  }
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["schedules"] = static_cast<double>(schedules) / rounds;
  state.counters["pruned"] = static_cast<double>(pruned) / rounds;
  state.counters["schedules/s"] =
      benchmark::Counter(static_cast<double>(schedules), benchmark::Counter::kIsRate);
  state.counters["points/s"] =
      benchmark::Counter(static_cast<double>(points), benchmark::Counter::kIsRate);
}

explore::Strategy& dpor() { return *new explore::Dpor; }
explore::Strategy& sleep_sets() { return *new DepthFirst(DepthFirst::Reduction::kSleepSets); }
explore::Strategy& plain() { return *new DepthFirst(DepthFirst::Reduction::kNone); }

/// A fixed number of random schedules.
void random(benchmark::State& state, Body body) {
  std::uint64_t points = 0;
  std::uint64_t schedules = 0;
  for (auto _ : state) {
    explore::RandomWalk strategy(1);
    const auto result = explore::run_schedules(strategy, body, 1'000);
    points += result.points;
    schedules += result.schedules;
  }
  state.counters["schedules/s"] =
      benchmark::Counter(static_cast<double>(schedules), benchmark::Counter::kIsRate);
  state.counters["points/s"] =
      benchmark::Counter(static_cast<double>(points), benchmark::Counter::kIsRate);
}

BENCHMARK_CAPTURE(exhaust, lock_twice / dpor, dpor, lock_twice_each);
BENCHMARK_CAPTURE(exhaust, lock_twice / sleep_sets, sleep_sets, lock_twice_each);
BENCHMARK_CAPTURE(exhaust, lock_twice / plain, plain, lock_twice_each)->Iterations(1);
BENCHMARK_CAPTURE(random, lock_twice, lock_twice_each);
BENCHMARK_CAPTURE(exhaust, meet_sometimes / dpor, dpor, meet_sometimes);
BENCHMARK_CAPTURE(random, meet_sometimes, meet_sometimes);

}  // namespace
