#include "unit/explore/programs.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/dpor.h"
#include "explore/fault_bound.h"
#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/fiber_controller.h"
#include "schedule/mutex.h"
#include "schedule/task.h"

namespace teeio::test {
namespace {

using schedule::Lock;
using schedule::Mutex;
using schedule::Rank;

constexpr std::uint64_t kTooMany = 10'000;
constexpr std::uint64_t kTooManyFindings = 1'000;

/// Everything that a step can touch, and what each task saw.
struct World {
  Mutex mutex{Rank::kUnranked};
  Mutex other{Rank::kUnranked};
  schedule::RwMutex rw{Rank::kUnranked};
  schedule::Condition condition;
  schedule::Atomic<int> flag{0};
  schedule::RefCount count{4};  // one share for each task, one for main
  std::array<bool, 4> dropped{};
  int sum = 0;
  int other_sum = 0;
  int written = 0;
  std::array<std::string, 4> seen;
};

/// Does one step and says what it saw.
std::string perform(Step step, World& world, std::uint32_t task) {
  const int mine = static_cast<int>(task) + 1;
  switch (step) {
    case Step::kAddLocked: {
      const Lock lock(world.mutex);
      return std::to_string(world.sum = world.sum * 5 + mine);
    }
    case Step::kAddOtherLocked: {
      const Lock lock(world.other);
      return std::to_string(world.other_sum = world.other_sum * 5 + mine);
    }
    case Step::kNest: {
      const Lock lock(world.mutex);
      const Lock inner(world.other);
      return std::to_string(world.other_sum += world.sum);
    }
    case Step::kNestBack: {
      const Lock lock(world.other);
      const Lock inner(world.mutex);
      return std::to_string(world.sum += world.other_sum);
    }
    case Step::kReadLocked: {
      const schedule::ReadLock lock(world.rw);
      return std::to_string(world.written);
    }
    case Step::kWriteLocked: {
      const schedule::WriteLock lock(world.rw);
      return std::to_string(world.written = world.written * 5 + mine);
    }
    case Step::kTryWrite: {
      const bool taken = world.rw.try_lock();
      if (taken) world.rw.unlock();
      return taken ? "y" : "n";
    }
    case Step::kLoad:
      return std::to_string(world.flag.load());
    case Step::kStore:
      return world.flag.store(mine), "";
    case Step::kFetchAdd:
      return std::to_string(world.flag.fetch_add(10));
    case Step::kPut:
      if (std::exchange(world.dropped[task], true)) return "";
      return world.count.decrement() ? "last" : "put";
    case Step::kGetPut:
      if (world.dropped[task]) return "";
      world.count.increment();
      return world.count.decrement() ? "last" : "put";
    case Step::kGetNotZero:
      if (!world.count.increment_not_zero()) return "gone";
      return world.count.decrement() ? "last" : "got";
    case Step::kWait: {
      const Lock lock(world.mutex);
      world.condition.wait(world.mutex);
      return std::to_string(world.sum);
    }
    case Step::kWaitShort: {
      const Lock lock(world.mutex);
      return world.condition.wait_for(world.mutex, 5) ? "notified" : "late";
    }
    case Step::kNotify:
      return world.condition.notify_all(), "";
    case Step::kNotifyLocked: {
      const Lock lock(world.mutex);
      return world.condition.notify_all(), std::to_string(world.sum);
    }
    case Step::kFail: {
      const bool fails = schedule::choose(2, "fails") != 0;
      const Lock lock(world.mutex);
      if (fails) world.sum += 100;
      return fails ? "f" : "o";
    }
    case Step::kRetry:
      while (world.flag.load() == 0) schedule::yield();
      return std::to_string(world.flag.load());
    case Step::kSpawn: {
      schedule::Task child = schedule::Task::spawn("child", [&] { world.flag.store(mine * 7); });
      child.join();
      return "";
    }
  }
  return "?";
}

std::string run(const Program& program) {
  World world;
  std::vector<schedule::Task> tasks;
  for (std::uint32_t t = 0; t < program.tasks.size(); ++t)
    tasks.push_back(schedule::Task::spawn(std::string(1, static_cast<char>('a' + t)), [&, t] {
      for (const Step step : program.tasks[t]) world.seen[t] += perform(step, world, t) + ',';
    }));
  // Main's share goes while they run, and those of tasks that are not.
  for (std::size_t t = program.tasks.size(); t < 4; ++t) (void)world.count.decrement();
  for (schedule::Task& task : tasks) task.join();
  std::string end;
  for (const std::string& seen : world.seen) end += seen + '|';
  return end + std::to_string(world.count.load()) + ' ' + std::to_string(world.sum) + ' ' +
         std::to_string(world.other_sum) + ' ' + std::to_string(world.written) + ' ' +
         std::to_string(world.flag.load());
}

/// Objects are numbered by first use, so that equal ends may have other numbers.
std::string without_numbers(const std::string& text) {
  std::string out;
  bool number = false;
  for (const char c : text) {
    number = c == '#' || (number && c >= '0' && c <= '9');
    if (!number) out += c;
  }
  return out;
}

void run_all(const Program& program, explore::Strategy& strategy, Reached& reached) {
  explore::FaultBound bound(strategy, 1);
  schedule::FiberController controller(bound);
  std::uint64_t findings = 0;
  while (!reached.too_many && bound.begin()) {
    ++reached.schedules;
    std::string end;
    const schedule::Outcome outcome = controller.run([&] { end = run(program); });
    if (outcome.finding) end = without_numbers(outcome.finding->what);
    if (!outcome.pruned || outcome.finding) reached.ends.insert(end);
    if (!outcome.pruned) ++reached.complete;
    if (outcome.finding) ++findings;
    reached.too_many = reached.schedules > kTooMany || findings > kTooManyFindings;
  }
}

}  // namespace

std::string Program::text() const {
  std::string text;
  for (const auto& task : tasks) {
    for (const Step step : task) text += std::to_string(static_cast<int>(step)) + ' ';
    text += "| ";
  }
  return text;
}

std::uint64_t pair_programs() { return std::uint64_t{kStepKinds} * kStepKinds; }

Program pair_program(std::uint64_t number) {
  const auto a = static_cast<Step>(number % kStepKinds);
  const auto b = static_cast<Step>(number / kStepKinds);
  return {{{a, b}, {b, a}}};
}

Program random_program(explore::Random& random, std::uint32_t tasks, std::uint32_t steps) {
  Program program;
  for (std::uint32_t t = 0; t < tasks; ++t) {
    auto& task = program.tasks.emplace_back();
    for (std::uint32_t s = 0; s < steps; ++s)
      task.push_back(static_cast<Step>(random.below(kStepKinds)));
  }
  return program;
}

namespace {

/// Gives one schedule of another strategy, and then none.
class Once final : public explore::Strategy {
 public:
  explicit Once(explore::Strategy& inner) : inner_(inner) {}
  bool begin() override { return !std::exchange(done_, true) && inner_.begin(); }
  std::uint32_t pick(const explore::Moment& moment) override { return inner_.pick(moment); }
  std::uint32_t choose(std::uint32_t count) override { return inner_.choose(count); }
  void stuck(std::span<const explore::Candidate> waiting) override { inner_.stuck(waiting); }
  void pruned(std::span<const explore::Candidate> waiting) override { inner_.pruned(waiting); }
  void told(std::uint64_t stories) override { inner_.told(stories); }
  void touched(schedule::Touch touch) override { inner_.touched(touch); }

 private:
  explore::Strategy& inner_;
  bool done_ = false;
};

void run_parts(const Program& program, Reached& reached) {
  explore::Dpor scout;
  Once first(scout);
  run_all(program, first, reached);
  for (const explore::Dpor::Deviation& part : scout.deviations()) {
    explore::Dpor dpor;
    Once again(dpor);
    Reached ignored;
    run_all(program, again, ignored);
    dpor.restrict_to(part);
    run_all(program, dpor, reached);
  }
}

void run_way(const Program& program, Way way, Reached& reached) {
  explore::DepthFirst plain(explore::DepthFirst::Reduction::kNone);
  explore::DepthFirst sleeping(explore::DepthFirst::Reduction::kSleepSets);
  explore::Dpor dpor;
  switch (way) {
    case Way::kPlain:
      return run_all(program, plain, reached);
    case Way::kSleepSets:
      return run_all(program, sleeping, reached);
    case Way::kDpor:
      return run_all(program, dpor, reached);
    case Way::kParts:
      return run_parts(program, reached);
  }
}

std::string to_text(const Reached& reached) {
  std::string text = std::to_string(reached.schedules) + ' ' + std::to_string(reached.complete) +
                     (reached.too_many ? " 1\n" : " 0\n");
  for (const std::string& end : reached.ends) text += end + '\n';
  return text;
}

Reached from_text(const std::string& text) {
  std::istringstream in(text);
  Reached reached;
  in >> reached.schedules >> reached.complete >> reached.too_many;
  in.ignore();
  for (std::string line; std::getline(in, line);) reached.ends.insert(line);
  return reached;
}

}  // namespace

Reached reach(const Program& program, Way way) {
  int ends[2] = {-1, -1};
  TEEIO_CHECK(pipe(ends) == 0, "no pipe");
  const pid_t child = fork();
  TEEIO_CHECK(child >= 0, "no process");
  if (child == 0) {
    Reached reached;
    run_way(program, way, reached);
    const std::string text = to_text(reached);
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n = write(ends[1], text.data() + at, text.size() - at);
      if (n <= 0) _exit(1);
      at += static_cast<std::size_t>(n);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  std::array<char, 4096> part{};
  for (ssize_t n = 0; (n = read(ends[0], part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  TEEIO_CHECK(status == 0, "the process that ran all schedules failed");
  return from_text(text);
}

}  // namespace teeio::test
