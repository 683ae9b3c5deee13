// How fast orders are explored, and how many are needed. Toys here; whole
// machines by `teeio explore`, which prints schedules and points itself.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/dpor.h"
#include "explore/random_walk.h"
#include "schedule/atomic.h"
#include "schedule/fiber_controller.h"
#include "schedule/mutex.h"
#include "schedule/run_heap.h"
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

using Make = std::unique_ptr<explore::Strategy> (*)();

/// A strategy that begins anew when it is exhausted.
class Again final : public explore::Strategy {
 public:
  explicit Again(Make make) : make_(make), inner_(make()) {}
  bool begin() override {
    if (inner_->begin()) return true;
    inner_ = make_();
    ++rounds_;
    return inner_->begin();
  }
  std::uint32_t pick(const explore::Moment& moment) override { return inner_->pick(moment); }
  std::uint32_t choose(std::uint32_t count) override { return inner_->choose(count); }
  void stuck(std::span<const explore::Candidate> waiting) override { inner_->stuck(waiting); }
  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }

 private:
  const Make make_;
  std::unique_ptr<explore::Strategy> inner_;
  std::uint64_t rounds_ = 0;
};

/// Whole explorations, one after the other; an iteration is a schedule.
void exhaust(benchmark::State& state, Make make, Body body) {
  Again strategy(make);
  schedule::FiberController controller(strategy);
  std::uint64_t points = 0;
  std::uint64_t schedules = 0;
  for (auto _ : state) {
    (void)strategy.begin();
    points += controller.run(body).points;
    ++schedules;
  }
  if (strategy.rounds() > 0)
    state.counters["schedules"] =
        static_cast<double>(schedules) / static_cast<double>(strategy.rounds());
  state.counters["schedules/s"] =
      benchmark::Counter(static_cast<double>(schedules), benchmark::Counter::kIsRate);
  state.counters["points/s"] =
      benchmark::Counter(static_cast<double>(points), benchmark::Counter::kIsRate);
}

std::unique_ptr<explore::Strategy> dpor() { return std::make_unique<explore::Dpor>(); }
std::unique_ptr<explore::Strategy> sleep_sets() {
  return std::make_unique<DepthFirst>(DepthFirst::Reduction::kSleepSets);
}
std::unique_ptr<explore::Strategy> plain() {
  return std::make_unique<DepthFirst>(DepthFirst::Reduction::kNone);
}

/// A fixed number of random schedules.
void random(benchmark::State& state, Body body) {
  std::uint64_t points = 0;
  std::uint64_t schedules = 0;
  explore::RandomWalk strategy(1);
  schedule::FiberController controller(strategy);
  const auto run = [&] {
    (void)strategy.begin();
    points += controller.run(body).points;
    ++schedules;
  };
  for (int i = 0; i < 1'000; ++i) run();  // stacks and vectors have grown by now
  points = schedules = 0;
  const std::size_t before = mallinfo2().uordblks;
  for (auto _ : state) run();
  state.counters["bytes kept"] = static_cast<double>(mallinfo2().uordblks - before);
  state.counters["schedules/s"] =
      benchmark::Counter(static_cast<double>(schedules), benchmark::Counter::kIsRate);
  state.counters["points/s"] =
      benchmark::Counter(static_cast<double>(points), benchmark::Counter::kIsRate);
}

// The heap of `bind/against-exit` on TDX: 430 KB, of which a schedule changes a quarter of the
// pages. Beside it the floor: a copy of as much.
constexpr std::size_t kBlocks = 1900;
constexpr std::size_t kBlock = 208;
constexpr std::size_t kBetweenChanges = 80;

void way_back(benchmark::State& state) {
  const auto heap = schedule::RunHeap::take();
  TEEIO_CHECK(heap != nullptr, "there is a run heap");
  std::vector<char*> blocks;
  schedule::detail::t_in_run_heap = true;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    auto* const block = new char[kBlock];
    std::memset(block, 1, kBlock);
    const schedule::OutsideRunHeap outside;
    blocks.push_back(block);
  }
  schedule::detail::t_in_run_heap = false;
  heap->save();
  for (auto _ : state) {
    for (std::size_t i = 0; i < kBlocks; i += kBetweenChanges) std::memset(blocks[i], 2, kBlock);
    heap->go_back();
  }
}
void copy_of_as_much(benchmark::State& state) {
  std::vector<char> from(kBlocks * (kBlock + 16), 1);
  std::vector<char> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
}

BENCHMARK(way_back);
BENCHMARK(copy_of_as_much);
BENCHMARK_CAPTURE(exhaust, lock_twice_dpor, dpor, lock_twice_each);
BENCHMARK_CAPTURE(exhaust, lock_twice_sleep_sets, sleep_sets, lock_twice_each);
BENCHMARK_CAPTURE(exhaust, lock_twice_plain, plain, lock_twice_each);
BENCHMARK_CAPTURE(random, lock_twice, lock_twice_each);
BENCHMARK_CAPTURE(exhaust, meet_sometimes_dpor, dpor, meet_sometimes);
BENCHMARK_CAPTURE(random, meet_sometimes, meet_sometimes);

}  // namespace
