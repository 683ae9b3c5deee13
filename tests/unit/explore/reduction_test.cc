#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <utility>

#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"
#include "schedule/task.h"
#include "unit/schedule/explored.h"

namespace teeio::explore {
namespace {

using namespace schedule;  // NOLINT: every primitive is used

constexpr int kTasks = 2;
constexpr int kSteps = 2;
enum class Step : std::uint8_t {
  kAddLocked,
  kReadLocked,
  kTryLock,
  kLoad,
  kStore,
  kFetchAdd,
  kPut,
  kGetNotZero,
  kWaitShort,
  kNotify,
};
constexpr std::uint64_t kStepKinds = 10;
using Program = std::array<std::array<Step, kSteps>, kTasks>;

/// Everything a step can touch, and what each task saw.
struct World {
  Mutex mutex{Rank::kLeaf};
  RwMutex rw{Rank::kUnranked};
  Condition condition;
  Atomic<int> flag{0};
  RefCount count{kTasks};              // one share each,
  std::array<bool, kTasks> dropped{};  // which a task drops once
  int sum TEEIO_GUARDED_BY(mutex) = 0;
  std::array<std::string, kTasks> seen;
};

/// Does one step and says what it saw.
std::string perform(Step step, World& world, int task) {
  switch (step) {
    case Step::kAddLocked: {
      const Lock lock(world.mutex);
      return std::to_string(world.sum = world.sum * 2 + task + 1);
    }
    case Step::kReadLocked: {
      const ReadLock lock(world.rw);
      return "";
    }
    case Step::kTryLock: {
      const bool taken = world.rw.try_lock();
      if (taken) world.rw.unlock();
      return taken ? "y" : "n";
    }
    case Step::kLoad:
      return std::to_string(world.flag.load());
    case Step::kStore:
      return world.flag.store(task + 1), "";
    case Step::kFetchAdd:
      return std::to_string(world.flag.fetch_add(1));
    case Step::kPut:
      if (std::exchange(world.dropped[static_cast<std::size_t>(task)], true)) return "";
      return world.count.decrement() ? "last" : "put";
    case Step::kGetNotZero:
      if (!world.count.increment_not_zero()) return "gone";
      return world.count.decrement() ? "last" : "got";
    case Step::kWaitShort: {
      const Lock lock(world.mutex);
      return world.condition.wait_for(world.mutex, 5) ? "notified" : "late";
    }
    case Step::kNotify:
      return world.condition.notify_all(), "";
  }
  return "?";
}

std::string run(const Program& program) {
  World world;
  const auto work = [&](int task) {
    auto& seen = world.seen[static_cast<std::size_t>(task)];
    for (const Step step : program[static_cast<std::size_t>(task)])
      seen += perform(step, world, task) + ',';
  };
  Task a = Task::spawn("a", [&] { work(0); });
  Task b = Task::spawn("b", [&] { work(1); });
  a.join();
  b.join();
  return world.seen[0] + '|' + world.seen[1] + '|' + std::to_string(world.count.load());
}

/// Every result that a run which was not pruned can have.
std::set<std::string> results(const Program& program, DepthFirst::Reduction reduction) {
  DepthFirst strategy(reduction);
  FiberController controller(strategy);
  std::set<std::string> all;
  while (strategy.begin()) {
    std::string result;
    const Outcome outcome = controller.run([&] { result = run(program); });
    EXPECT_FALSE(outcome.finding.has_value());
    if (!outcome.pruned) all.insert(result);
  }
  return all;
}

Program program_number(std::uint64_t number) {
  Program program{};
  for (auto& task : program)
    for (Step& step : task) {
      step = static_cast<Step>(number % kStepKinds);
      number /= kStepKinds;
    }
  return program;
}

// A wrong row in commute() hides results: found here over a spread of programs.
TEST(SleepSets, ReachEveryResultThatAllSchedulesReach) {
  constexpr std::uint64_t kPrograms = 10'000;  // 10^4
  constexpr std::uint64_t kStride = 37;        // prime to 10: every pair of steps
  std::size_t several = 0;
  for (std::uint64_t number = 0; number < kPrograms; number += kStride) {
    const Program program = program_number(number);
    const auto expected = results(program, DepthFirst::Reduction::kNone);
    EXPECT_EQ(results(program, DepthFirst::Reduction::kSleepSets), expected) << number;
    several += expected.size() > 1 ? 1U : 0U;
  }
  EXPECT_GT(several, 100U) << "the programs have no races worth the name";
}

}  // namespace
}  // namespace teeio::explore
