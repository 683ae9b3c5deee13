#include "run/fault_watch.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "run/process_maps.h"
#include "run/processes.h"
#include "schedule/task.h"

namespace teeio::run {
namespace {

constexpr std::size_t kMaxFiles = 256;

/// Descriptors that all rings may take; with more threads than that nobody is watched.
std::size_t max_rings() {
  constexpr std::size_t kMost = 4096, kPart = 4;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return std::min<std::size_t>(kMost, limit.rlim_cur / kPart);
}

bool maps_it(pid_t pid, dev_t device, ino_t inode) {
  return std::ranges::any_of(read_maps(living_thread(pid)), [&](const MapsLine& line) {
    return line.device == device && line.inode == inode;
  });
}

}  // namespace

const std::string* FaultWatch::name_of_locked(dev_t device, ino_t inode) const {
  const auto at = std::ranges::find_if(
      files_, [&](const File& file) { return file.device == device && file.inode == inode; });
  return at == files_.end() ? nullptr : &at->name;
}

std::vector<FaultWatch::Range> FaultWatch::ranges_locked(pid_t pid) const {
  std::vector<Range> ranges;
  for (const MapsLine& line : read_maps(living_thread(pid)))
    if (const std::string* const name = name_of_locked(line.device, line.inode); name != nullptr)
      ranges.push_back({line.start, line.end, {.file = *name, .offset = line.offset}});
  return ranges;
}

/// First the rings, then what is mapped, so that no mapping is in neither.
void FaultWatch::watch_locked(pid_t pid) {
  auto at = std::ranges::find(processes_, pid, &Process::pid);
  if (at != processes_.end() && !at->rings.is_same_program(pid, at->since)) {
    std::erase_if(processes_, [pid](const Process& process) { return process.pid == pid; });
    at = processes_.end();
  }
  if (at == processes_.end()) {
    std::size_t taken = 0;
    for (const Process& process : processes_) taken += process.rings.descriptors();
    const std::size_t most = max_rings();
    auto rings = FaultRings::open(pid, most - std::min(most, taken));
    if (!rings) return;
    processes_.push_back({.pid = pid, .rings = std::move(*rings), .since = 0, .ranges = {}});
    at = processes_.end() - 1;
  }
  at->since = schedule::now_ns();
  at->ranges = ranges_locked(pid);
}

void FaultWatch::before_revoke(dev_t device, ino_t inode, const std::string& name) {
  const schedule::Lock lock(mutex_);
  std::erase_if(files_,
                [&](const File& file) { return file.device == device && file.inode == inode; });
  if (files_.size() == kMaxFiles) files_.erase(files_.begin());
  files_.push_back({device, inode, name});
  std::erase_if(processes_, [](const Process& process) { return !process_stat(process.pid); });
  for (const pid_t pid : descendants())
    if (maps_it(pid, device, inode)) watch_locked(pid);
}

/// A mapping that was made since the ranges were read is where they were. Who was forked behind
/// the revoke has what its parent had mapped by then: any process's counts.
std::optional<FaultWatch::Place> FaultWatch::place_locked(const Process& process,
                                                          const FaultRings::Fault& fault,
                                                          pid_t pid) const {
  if (fault.time < process.since) return std::nullopt;
  const auto history =
      process.rings.history(fault, process.since, pid, process.pid == pid ? pid : 0);
  if (!history.whole) return std::nullopt;
  if (const auto& mapped = history.newest) {
    const std::string* const name = name_of_locked(mapped->device, mapped->inode);
    if (name == nullptr || mapped->pid != pid) return std::nullopt;
    return Place{.file = *name, .offset = mapped->offset};
  }
  for (const Range& range : process.ranges)
    if (fault.address >= range.start && fault.address < range.end)
      return Place{range.place.file, range.place.offset + (fault.address - range.start)};
  return std::nullopt;
}

std::optional<FaultWatch::LastFault> FaultWatch::last_of(pid_t pid) {
  const schedule::Lock lock(mutex_);
  const bool own = std::ranges::find(processes_, pid, &Process::pid) != processes_.end();
  std::optional<FaultRings::Fault> newest;
  const Process* of = nullptr;
  // Who was forked behind the revoke has the mappings, and its faults are in the parent's rings.
  for (const Process& process : processes_) {
    if (own && process.pid != pid) continue;
    const auto fault = process.rings.newest(pid);
    if (!fault || (newest && newest->time > fault->time)) continue;
    newest = fault;
    of = &process;
  }
  std::optional<LastFault> last;
  if (newest) last = LastFault{place_locked(*of, *newest, pid)};
  std::erase_if(processes_, [pid](const Process& process) { return process.pid == pid; });
  return last;
}

}  // namespace teeio::run
