#include "run/fault_watch.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/types.h"
#include "run/numbered_entries.h"
#include "run/process_maps.h"
#include "run/processes.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

constexpr std::size_t kRingBytes = kPageSize;
/// The page before it has where the newest record is.
constexpr std::size_t kMappedBytes = kPageSize + kRingBytes;

/// A record as `attributes()` asks for it.
struct Record {
  perf_event_header header;
  std::uint32_t pid;
  std::uint32_t tid;
  std::uint64_t time;
  std::uint64_t address;
};
static_assert(sizeof(Record) == 32);

/// Each fault that a program's own instruction meets; newer ones over older ones.
perf_event_attr attributes() {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.size = sizeof(attr);
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.sample_period = 1;
  attr.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR;
  attr.exclude_kernel = 1;
  attr.inherit = 1;
  attr.write_backward = 1;
  attr.remove_on_exec = 1;
  return attr;
}

/// Descriptors that all rings may take; with more threads than that nobody is watched.
std::size_t max_rings() {
  constexpr std::size_t kMost = 256, kPart = 8;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return std::min<std::size_t>(kMost, limit.rlim_cur / kPart);
}

}  // namespace

FaultWatch::Ring::Ring(pid_t tid, int processor) {
  perf_event_attr attr = attributes();
  fd_ = Fd(static_cast<int>(
      ::syscall(SYS_perf_event_open, &attr, tid, processor, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!fd_.ok()) return;
  // Not writable: the kernel then overwrites what is old, however little was read.
  void* const memory = ::mmap(nullptr, kMappedBytes, PROT_READ, MAP_SHARED, fd_.get(), 0);
  if (memory != MAP_FAILED) memory_ = static_cast<std::byte*>(memory);
}

FaultWatch::Ring::Ring(Ring&& other) noexcept
    : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, nullptr)) {}

FaultWatch::Ring::~Ring() {
  if (memory_ != nullptr) ::munmap(memory_, kMappedBytes);
}

/// Records are written downwards from offset 0, so the newest is at the head. The reader's
/// process is dead, and so is whoever wrote of it.
std::optional<FaultWatch::Ring::Fault> FaultWatch::Ring::newest(pid_t pid) const {
  const auto* const page = reinterpret_cast<const perf_event_mmap_page*>(memory_);
  const std::uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
  const std::byte* const data = memory_ + kPageSize;
  const std::uint64_t written = -head;
  const std::uint64_t kept = std::min<std::uint64_t>(written, kRingBytes);
  for (std::uint64_t at = 0; at + sizeof(Record) <= kept;) {
    Record record;
    std::byte bytes[sizeof(Record)];
    for (std::size_t i = 0; i < sizeof(Record); ++i) bytes[i] = data[(head + at + i) % kRingBytes];
    std::memcpy(&record, bytes, sizeof(record));
    if (record.header.size == 0) break;
    if (record.header.type == PERF_RECORD_SAMPLE && record.pid == static_cast<std::uint32_t>(pid))
      return Fault{.time = record.time, .address = record.address};
    at += record.header.size;
  }
  return std::nullopt;
}

std::vector<FaultWatch::Ring> FaultWatch::rings_of(pid_t pid, std::size_t at_most) {
  const long processors = ::sysconf(_SC_NPROCESSORS_CONF);
  std::vector<Ring> rings;
  for (const int tid : numbered_entries(proc_path(pid, "task")))
    for (int processor = 0; processor < processors; ++processor) {
      if (rings.size() == at_most) return {};
      Ring ring(tid, processor);
      if (!ring.ok()) return {};
      rings.push_back(std::move(ring));
    }
  return rings;
}

void FaultWatch::watch_locked(pid_t pid, const std::vector<Range>& ranges) {
  auto at = std::ranges::find(processes_, pid, &Process::pid);
  if (at == processes_.end()) {
    std::size_t taken = 0;
    for (const Process& process : processes_) taken += process.rings.size();
    const std::size_t most = max_rings();
    Process process{.pid = pid, .rings = rings_of(pid, most - std::min(most, taken)), .ranges = {}};
    if (process.rings.empty()) return;
    at = processes_.insert(processes_.end(), std::move(process));
  }
  at->ranges.insert(at->ranges.end(), ranges.begin(), ranges.end());
}

void FaultWatch::before_revoke(dev_t device, ino_t inode, const std::string& name) {
  std::vector<std::pair<pid_t, std::vector<Range>>> found;
  for (const int pid : numbered_entries("/proc")) {
    if (pid == ::getpid()) continue;
    std::vector<Range> ranges;
    for (const MapsLine& line : read_maps(pid))
      if (line.device == device && line.inode == inode)
        ranges.push_back({line.start, line.end, {.file = name, .offset = line.offset}});
    if (!ranges.empty()) found.emplace_back(pid, std::move(ranges));
  }
  const schedule::Lock lock(mutex_);
  std::erase_if(processes_, [](const Process& process) { return !process_stat(process.pid); });
  for (const auto& [pid, ranges] : found) watch_locked(pid, ranges);
}

std::optional<FaultWatch::LastFault> FaultWatch::last_of(pid_t pid) {
  const schedule::Lock lock(mutex_);
  std::optional<Ring::Fault> newest;
  std::optional<LastFault> last;
  // Who was forked behind the revoke has the mappings, and its faults are in the parent's rings.
  for (const Process& process : processes_)
    for (const Ring& ring : process.rings) {
      const auto fault = ring.newest(pid);
      if (!fault || (newest && newest->time > fault->time)) continue;
      newest = fault;
      last = LastFault{};
      for (const Range& range : process.ranges)
        if (fault->address >= range.start && fault->address < range.end)
          last->place = {range.place.file, range.place.offset + (fault->address - range.start)};
    }
  std::erase_if(processes_, [pid](const Process& process) { return process.pid == pid; });
  return last;
}

}  // namespace teeio::run
