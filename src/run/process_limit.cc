#include "run/process_limit.h"

#include <unistd.h>

#include <map>

#include "run/numbered_entries.h"
#include "run/processes.h"

namespace teeio::run {
namespace {

/// Threads of all descendants of this process.
unsigned living_threads() {
  std::map<pid_t, ProcessStat> all;
  for (const int pid : numbered_entries("/proc"))
    if (const auto stat = process_stat(pid)) all.emplace(pid, *stat);
  const pid_t self = ::getpid();
  constexpr int kDeepest = 4096;  // of a chain of parents; /proc changes while it is read
  unsigned threads = 0;
  for (const auto& [pid, stat] : all) {
    auto at = all.find(stat.parent);
    for (int i = 0; i < kDeepest && at != all.end() && at->first != self; ++i)
      at = all.find(at->second.parent);
    if (at != all.end() && at->first == self) threads += stat.threads;
  }
  return threads;
}

}  // namespace

bool ProcessLimit::admits() {
  const schedule::RawLockGuard guard(lock_);
  if (closed_) return false;
  if (made_ >= most_) made_ = living_threads();
  if (made_ >= most_) {
    reached_ = true;
    return false;
  }
  ++made_;
  return true;
}

void ProcessLimit::close() {
  const schedule::RawLockGuard guard(lock_);
  closed_ = true;
}

bool ProcessLimit::was_reached() const {
  const schedule::RawLockGuard guard(lock_);
  return reached_;
}

}  // namespace teeio::run
