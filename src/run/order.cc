#include "run/order.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <compare>
#include <cstdio>
#include <string>
#include <string_view>

#include "run/dispatch.h"
#include "run/numbered_entries.h"
#include "run/processes.h"
#include "run/sys.h"
#include "schedule/split_mix.h"
#include "schedule/task.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kGlanceNs = 200'000;

std::string task_file(std::string_view proc, pid_t pid, pid_t tid, std::string_view file) {
  return std::string(proc) + '/' + std::to_string(pid) + "/task/" + std::to_string(tid) + '/' +
         std::string(file);
}

/// Of proc(5), /proc/PID/stat: fields 3 and 22. The name, in parentheses, may have some itself.
struct Life {
  char state = 0;
  unsigned long long born = 0;  ///< starttime
};
std::optional<Life> life_of(std::string_view proc, pid_t pid, pid_t tid) {
  const std::string text = read_file(task_file(proc, pid, tid, "stat"));
  const std::size_t name_end = text.rfind(')');
  Life life;
  if (name_end == std::string::npos ||
      std::sscanf(text.c_str() + name_end,
                  ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                  "%llu",
                  &life.state, &life.born) != 2)
    return std::nullopt;
  return life;
}

/// kDead: it has ended, and is there until somebody waits for it, or for the last thread of its
/// process.
enum class Whereabouts : std::uint8_t { kGone, kDead, kMayCome, kSleeps };

/// proc(5), /proc/PID/syscall: "running", or the number of the call that it is blocked in; -1 is
/// of who waits in none, for a page or behind another thread's mmap(2), and goes on by itself.
/// One of a call that is trapped may be on its way to us.
Whereabouts whereabouts_of(std::string_view proc, pid_t pid, pid_t tid) {
  const std::optional<Life> life = life_of(proc, pid, tid);
  if (!life) return Whereabouts::kGone;
  // Its call reads "-1" too.
  if (life->state == 'Z' || life->state == 'X') return Whereabouts::kDead;
  const std::string text = read_file(task_file(proc, pid, tid, "syscall"));
  if (text.empty()) return Whereabouts::kSleeps;  // it may not be looked at
  long number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return Whereabouts::kMayCome;
  const bool is_trapped = std::ranges::any_of(
      rows(), [&](const Row& row) { return static_cast<long>(row.number) == number; });
  if (!is_trapped) return Whereabouts::kSleeps;
  // A pipe's read(2) is none of ours, and its thread waits elsewhere than a trapped one does.
  const std::string where = read_file(task_file(proc, pid, tid, "wchan"));
  const bool elsewhere = where.size() > 1 && where.find("seccomp") == std::string::npos;
  return elsewhere ? Whereabouts::kSleeps : Whereabouts::kMayCome;
}

}  // namespace

Order::Order(const Plan& plan)
    : proc_(plan.proc), patience_ns_(plan.patience_ns), random_(plan.seed) {
  for (std::uint32_t i = 0; i < plan.changes; ++i)
    changes_.push_back(static_cast<std::uint32_t>(1 + schedule::split_mix(random_) %
                                                          std::max(plan.calls, std::uint32_t{1})));
  std::ranges::sort(changes_);
}

/// The program's processes: `caller`, and whom we have started, whether they made a call or not.
std::vector<pid_t> Order::processes(pid_t caller) const {
  const pid_t self = ::getpid();
  if (caller == self) return with_descendants({self}, proc_);
  auto found = with_descendants({self, caller}, proc_);
  std::erase(found, self);
  return found;
}

/// By age, so that each run of a program gives the same thread the same priority. Numbers begin
/// anew where there are no more; they tell who was born in one tick of the clock.
void Order::look_for_threads(pid_t caller) {
  struct Found {
    std::uint64_t born;
    pid_t tid;
    pid_t pid;
    auto operator<=>(const Found&) const = default;
  };
  std::vector<Found> threads;
  for (const pid_t pid : processes(caller))
    for (const pid_t tid : numbered_entries(proc_ + '/' + std::to_string(pid) + "/task"))
      if (const auto life = life_of(proc_, pid, tid)) threads.push_back({life->born, tid, pid});
  std::ranges::sort(threads);
  for (const Found& thread : threads) meet(thread.pid, thread.tid, thread.born);
}

void Order::meet(pid_t pid, pid_t tid, std::optional<std::uint64_t> born) {
  const auto known = threads_.find(tid);
  if (known != threads_.end() && known->second.process == pid &&
      (!born || !known->second.born || known->second.born == born)) {
    if (born) known->second.born = born;
    return;
  }
  constexpr unsigned kBits = 62;
  threads_[tid] = {
      .process = pid,
      .born = born,
      .priority = 1 + static_cast<std::int64_t>(schedule::split_mix(random_) >> (64 - kBits))};
}

bool Order::must_wait(pid_t tid, std::uint64_t since_ns) {
  if (arriving_.load() != 0) return true;
  const std::uint64_t now = schedule::now_ns();
  for (const auto& [other, call] : inside_)
    if (other != tid && now - call.since_ns < patience_ns_) return true;
  const std::int64_t mine = threads_.at(tid).priority;
  bool waits = false;
  for (auto at = threads_.begin(); at != threads_.end();) {
    auto& [other, thread] = *at;
    const bool before_me = other != tid && thread.priority > mine;
    if (!before_me || inside_.contains(other)) {
      ++at;
      continue;
    }
    if (waiting_.contains(other)) return true;
    const Whereabouts at_now = whereabouts_of(proc_, thread.process, other);
    if (at_now == Whereabouts::kGone) {
      at = threads_.erase(at);
      continue;
    }
    if (at_now == Whereabouts::kMayCome && !thread.is_slow) {
      if (now - since_ns < patience_ns_) {
        waits = true;
      } else {
        thread.is_slow = true;
        ++overtakings_;
      }
    }
    ++at;
  }
  // Who was on its way at first may by now sleep for our lock.
  return waits || arriving_.load() != 0;
}

/// PCT's change of priority: whoever makes the call goes behind all others.
void Order::begin(pid_t tid) {
  ++calls_;
  inside_[tid] = {schedule::now_ns()};
  while (!changes_.empty() && changes_.front() <= calls_) {
    changes_.erase(changes_.begin());
    threads_.at(tid).priority = --lowest_;
  }
}

void Order::enter(pid_t pid, pid_t tid, const std::function<bool()>& is_there) {
  arriving_.fetch_add(1);
  const schedule::Lock lock(mutex_);
  arriving_.fetch_add(-1);
  look_for_threads(pid);
  meet(pid, tid, std::nullopt);
  threads_.at(tid).is_slow = false;
  callers_.insert(tid);
  waiting_.insert(tid);
  changed_.notify_all();
  std::uint64_t since_ns = schedule::now_ns();
  std::uint32_t calls_before = calls_;
  for (;;) {
    look_for_threads(pid);
    meet(pid, tid, std::nullopt);
    if (!must_wait(tid, since_ns)) break;
    if (!is_there()) break;
    (void)changed_.wait_for(mutex_, kGlanceNs);
    // Somebody went on: those that are before me have time again.
    if (calls_ != calls_before) since_ns = schedule::now_ns();
    calls_before = calls_;
  }
  waiting_.erase(tid);
  meet(pid, tid, std::nullopt);
  begin(tid);
}

void Order::leave(pid_t tid) {
  const schedule::Lock lock(mutex_);
  if (inside_.erase(tid) != 0) changed_.notify_all();
}

bool Order::had_a_choice() {
  const schedule::Lock lock(mutex_);
  return callers_.size() > 1;
}

std::uint32_t Order::overtakings() {
  const schedule::Lock lock(mutex_);
  return overtakings_;
}

}  // namespace teeio::run
