#include "run/order.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>

#include "run/dispatch.h"
#include "run/sys.h"
#include "schedule/task.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kGlanceNs = 200'000;

std::uint64_t next_random(std::uint64_t& state) {  // splitmix64
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31U);
}

std::string task_file(pid_t pid, pid_t tid, std::string_view file) {
  return "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + '/' + std::string(file);
}

enum class Whereabouts : std::uint8_t { kGone, kMayCome, kSleeps };

/// proc(5), /proc/PID/syscall: "running", or the number of the call that it is blocked in; -1 is
/// of who waits in none, for a page or behind another thread's mmap(2), and goes on by itself.
/// One of a call that is trapped may be on its way to us.
Whereabouts whereabouts_of(pid_t pid, pid_t tid) {
  const std::string text = read_file(task_file(pid, tid, "syscall"));
  // Who has ended, or may not be looked at.
  if (text.empty())
    return ::access(task_file(pid, tid, "stat").c_str(), F_OK) == 0 ? Whereabouts::kSleeps
                                                                    : Whereabouts::kGone;
  long number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return Whereabouts::kMayCome;
  const bool is_trapped = std::ranges::any_of(
      rows(), [&](const Row& row) { return static_cast<long>(row.number) == number; });
  if (!is_trapped) return Whereabouts::kSleeps;
  // A pipe's read(2) is none of ours, and its thread waits elsewhere than a trapped one does.
  const std::string where = read_file(task_file(pid, tid, "wchan"));
  const bool elsewhere = where.size() > 1 && where.find("seccomp") == std::string::npos;
  return elsewhere ? Whereabouts::kSleeps : Whereabouts::kMayCome;
}

}  // namespace

Order::Order(const Plan& plan) : patience_ns_(plan.patience_ns), random_(plan.seed) {
  for (std::uint32_t i = 0; i < plan.changes; ++i)
    changes_.push_back(static_cast<std::uint32_t>(1 + next_random(random_) %
                                                          std::max(plan.calls, std::uint32_t{1})));
  std::ranges::sort(changes_);
}

/// By age, so that each run of a program gives the same thread the same priority.
void Order::look_for_threads(pid_t pid) {
  std::vector<pid_t> tids;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    const std::string name = entry.path().filename();
    pid_t tid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), tid).ec == std::errc{})
      tids.push_back(tid);
  }
  std::ranges::sort(tids);
  for (const pid_t tid : tids) meet(pid, tid);
}

void Order::meet(pid_t pid, pid_t tid) {
  if (threads_.contains(tid)) return;
  constexpr unsigned kBits = 62;
  threads_[tid] = {.process = pid,
                   .priority = 1 + static_cast<std::int64_t>(next_random(random_) >> (64 - kBits))};
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
    const Whereabouts at_now = whereabouts_of(thread.process, other);
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
  meet(pid, tid);
  threads_.at(tid).is_slow = false;
  callers_.insert(tid);
  waiting_.insert(tid);
  changed_.notify_all();
  std::uint64_t since_ns = schedule::now_ns();
  std::uint32_t calls_before = calls_;
  for (;;) {
    look_for_threads(pid);
    meet(pid, tid);
    if (!must_wait(tid, since_ns)) break;
    if (!is_there()) break;
    (void)changed_.wait_for(mutex_, kGlanceNs);
    // Somebody went on: those that are before me have time again.
    if (calls_ != calls_before) since_ns = schedule::now_ns();
    calls_before = calls_;
  }
  waiting_.erase(tid);
  meet(pid, tid);
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
