#include "explore/reduction/compare.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "explore/depth_first.h"
#include "explore/dpor.h"
#include "explore/fault_bound.h"
#include "explore/random_walk.h"
#include "explore/reduction/world.h"
#include "schedule/fiber_controller.h"

namespace teeio::reduction {
namespace {

using explore::Candidate;
using explore::Moment;
using explore::Strategy;

constexpr std::uint64_t kMostPoints = 2'000;
/// A finding keeps its stacks: after so many nothing is said about the program.
constexpr std::uint64_t kMostFindings = 600;

/// Another strategy, from which something is kept.
class Forgetful final : public Strategy {
 public:
  Forgetful(Strategy& inner, Forget what) : inner_(inner), what_(what) {}
  bool begin() override { return inner_.begin(); }
  std::uint32_t pick(const Moment& moment) override {
    if (what_ != Forget::kExpired) return inner_.pick(moment);
    candidates_.assign(moment.candidates.begin(), moment.candidates.end());
    for (Candidate& c : candidates_) c.expired = false;
    return inner_.pick({candidates_, moment.last_task, moment.tasks});
  }
  std::uint32_t choose(std::uint32_t count) override { return inner_.choose(count); }
  void stuck(std::span<const Candidate> waiting) override { inner_.stuck(waiting); }
  void pruned(std::span<const Candidate> waiting) override {
    if (what_ != Forget::kPruned) inner_.pruned(waiting);
  }
  void told(std::uint64_t stories) override {
    if (what_ != Forget::kStories) inner_.told(stories);
  }
  void touched(schedule::Touch touch) override {
    if (what_ != Forget::kTouches) inner_.touched(touch);
  }

 private:
  Strategy& inner_;
  const Forget what_;
  std::vector<Candidate> candidates_;
};

struct Reached {
  std::set<std::string> ends;  ///< deadlocks included
  std::set<std::string> checks;
  std::uint64_t schedules = 0;
  bool too_many = false;
};

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

Reached reach(const Program& program, Strategy& strategy, std::uint64_t limit,
              Guards guards = Guards::kMonitors) {
  using Found = schedule::Finding::Kind;
  Reached reached;
  explore::FaultBound bound(strategy, program.faults);
  schedule::FiberController controller(bound, {.points = kMostPoints});
  std::uint64_t findings = 0;
  while (bound.begin()) {
    if (reached.schedules == limit || findings == kMostFindings) {
      reached.too_many = true;
      break;
    }
    ++reached.schedules;
    std::string end;
    const schedule::Outcome outcome = controller.run([&] { end = run(program, guards); });
    if (!outcome.finding) {
      if (!outcome.pruned) reached.ends.insert(end);
      continue;
    }
    ++findings;
    const std::string what = without_numbers(outcome.finding->what);
    if (outcome.finding->kind == Found::kDeadlock || outcome.finding->kind == Found::kLostWakeup)
      reached.ends.insert(what + ' ' + seen_so_far());
    else
      reached.checks.insert(what);
  }
  return reached;
}

std::string difference(const Reached& all, const Reached& some, bool whole) {
  if (!all.checks.empty() || !some.checks.empty()) {
    if (some.checks.empty()) return "a failed check is missed: " + *all.checks.begin();
    if (whole && all.checks.empty()) return "a check fails that does not: " + *some.checks.begin();
    return {};
  }
  for (const std::string& end : all.ends)
    if (!some.ends.contains(end)) return "an end is missed: " + end;
  if (!whole) return {};
  for (const std::string& end : some.ends)
    if (!all.ends.contains(end)) return "an end that there is not: " + end;
  return {};
}

/// The answer of `ask`, which may keep memory or crash.
bool asked_apart(const std::function<bool()>& ask) {
  const pid_t child = fork();
  if (child == 0) _exit(ask() ? 1 : 0);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  return !WIFEXITED(status) || WEXITSTATUS(status) == 1;
}

// ---- Smaller programs

using Steps = std::vector<Step>;

/// Calls `each` with every list of steps in the program.
void for_each_list(Steps& steps, const std::function<void(Steps&)>& each) {
  each(steps);
  for (Step& step : steps) {
    for_each_list(step.then, each);
    for_each_list(step.otherwise, each);
  }
}

/// Every program that has one thing less.
std::vector<Program> smaller(const Program& program) {
  std::vector<Program> out;
  for (std::size_t t = 0; t < program.tasks.size(); ++t) {
    out.push_back(program);
    out.back().tasks.erase(out.back().tasks.begin() + static_cast<std::ptrdiff_t>(t));
  }
  const std::size_t lists = program.tasks.size() + 1;
  for (std::size_t at = 0; at < lists; ++at) {
    std::size_t places = 0;
    Program copy = program;
    for_each_list(at == 0 ? copy.main : copy.tasks[at - 1],
                  [&](Steps& steps) { places += steps.size(); });
    for (std::size_t place = 0; place < places; ++place)
      for (const bool keep_inner : {false, true}) {
        Program less = program;
        std::size_t seen = 0;
        bool done = false;
        for_each_list(at == 0 ? less.main : less.tasks[at - 1], [&](Steps& steps) {
          if (done || place < seen || place >= seen + steps.size()) {
            if (!done) seen += steps.size();
            return;
          }
          done = true;
          const auto where = steps.begin() + static_cast<std::ptrdiff_t>(place - seen);
          const Steps inner = keep_inner ? std::move(where->then) : Steps{};
          const auto next = steps.erase(where);
          steps.insert(next, inner.begin(), inner.end());
        });
        out.push_back(std::move(less));
      }
  }
  if (program.faults > 0) {
    out.push_back(program);
    --out.back().faults;
  }
  return out;
}

bool any_step(const std::vector<Step>& steps, const std::function<bool(const Step&)>& is) {
  return std::ranges::any_of(steps, [&](const Step& step) {
    return is(step) || any_step(step.then, is) || any_step(step.otherwise, is);
  });
}
bool any_step(const Program& program, const std::function<bool(const Step&)>& is) {
  return any_step(program.main, is) ||
         std::ranges::any_of(program.tasks, [&](const auto& task) { return any_step(task, is); });
}

/// Whether mutexes for its monitors must give the same ends: it enters some, and nobody counts
/// the moves of others, of which there are more then.
bool can_have_mutexes(const Program& program) {
  const auto enters = [](const Step& s) {
    return s.kind == Kind::kSection || s.kind == Kind::kPart || s.kind == Kind::kDecide;
  };
  const auto counts = [](const Step& s) {
    return s.kind == Kind::kYield || s.kind == Kind::kRetry;
  };
  return any_step(program, enters) && !any_step(program, counts);
}

/// Ends that mutexes for its monitors reach, and `some` did not.
void compare_mutexes(const Program& program, std::uint64_t limit, const Reached& some,
                     Comparison& result) {
  explore::DepthFirst sleeping(explore::DepthFirst::Reduction::kSleepSets);
  explore::RandomWalk random(1, 0, 1);
  Reached all = reach(program, sleeping, limit, Guards::kMutexes);
  if (all.too_many) all = reach(program, random, limit / 4, Guards::kMutexes);
  result.with_mutexes = all.schedules;
  if (const std::string missed = difference(all, some, false); !missed.empty())
    result.difference = "with mutexes for monitors " + missed;
}

}  // namespace

Comparison compare(const Program& program, std::uint64_t limit, Forget forget) {
  Comparison result;
  explore::Dpor dpor;
  Forgetful forgetful(dpor, forget);
  const Reached some = reach(program, forgetful, limit);
  result.reduced = some.schedules;
  if (some.too_many) return result;
  explore::DepthFirst plain(explore::DepthFirst::Reduction::kNone);
  explore::DepthFirst sleeping(explore::DepthFirst::Reduction::kSleepSets);
  explore::RandomWalk random(1, 0, 1);
  const std::pair<Strategy*, Comparison::Against> standards[] = {
      {&plain, Comparison::Against::kPlain},
      {&sleeping, Comparison::Against::kSleepSets},
      {&random, Comparison::Against::kSample}};
  for (const auto& [strategy, against] : standards) {
    const bool sample = against == Comparison::Against::kSample;
    const Reached all = reach(program, *strategy, sample ? limit / 4 : limit);
    if (all.too_many && !sample) continue;
    result.against = against;
    result.all = all.schedules;
    result.has_findings = !all.checks.empty() || !some.checks.empty();
    result.difference = difference(all, some, !sample);
    break;
  }
  if (result.difference.empty() && can_have_mutexes(program))
    compare_mutexes(program, limit, some, result);
  return result;
}

Program shrink(Program program, std::uint64_t limit, Forget forget) {
  const auto differs = [&](const Program& p) {
    return asked_apart([&] { return !compare(p, limit, forget).difference.empty(); });
  };
  for (bool again = true; again;) {
    again = false;
    for (Program& less : smaller(program)) {
      if (!differs(less)) continue;
      program = std::move(less);
      again = true;
      break;
    }
  }
  return program;
}

}  // namespace teeio::reduction
