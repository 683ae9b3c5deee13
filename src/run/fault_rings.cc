#include "run/fault_rings.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <set>
#include <span>
#include <sstream>
#include <utility>

#include "base/types.h"
#include "run/numbered_entries.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

// The newest fault is enough, but each mapping counts.
constexpr std::size_t kFaultBytes = kPageSize, kMapBytes = 4 * kPageSize;

/// PERF_RECORD_SAMPLE as fault_attributes() ask for it.
struct Sample {
  perf_event_header header;
  std::uint32_t pid;
  std::uint32_t tid;
  std::uint64_t time;
  std::uint64_t address;
};
static_assert(sizeof(Sample) == 32);

/// PERF_RECORD_MMAP2 up to its file's name; the last 8 bytes of the record are the time.
struct Mmap2 {
  perf_event_header header;
  std::uint32_t pid;
  std::uint32_t tid;
  std::uint64_t address;
  std::uint64_t length;
  std::uint64_t offset;
  std::uint32_t major;
  std::uint32_t minor;
  std::uint64_t inode;
};
static_assert(sizeof(Mmap2) == 56);

// What is written before the head moves. Faults of a program's own do not nest; a tick's note
// (perf_log_throttle()) may come in between, and is no larger. Of mappings: one, with a file's
// name (perf_event_mmap_event(), a buffer of PATH_MAX).
constexpr std::size_t kFaultAtOnce = 2 * sizeof(Sample);
constexpr std::size_t kMapAtOnce = sizeof(Mmap2) + PATH_MAX + 2 * sizeof(std::uint64_t);

/// PERF_RECORD_COMM up to the name.
struct Comm {
  perf_event_header header;
  std::uint32_t pid;
  std::uint32_t tid;
};

template <class T>
std::optional<T> as(std::span<const std::byte> record) {
  T out;
  if (record.size() < sizeof(out)) return std::nullopt;
  std::memcpy(&out, record.data(), sizeof(out));
  return out;
}

std::uint64_t time_of(std::span<const std::byte> record) {
  return as<std::uint64_t>(record.last(sizeof(std::uint64_t))).value_or(0);
}

perf_event_attr attributes() {
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
  attr.exclude_kernel = 1;
  attr.use_clockid = 1;
  attr.clockid = CLOCK_MONOTONIC;
  return attr;
}

/// Each fault that a program's own instruction meets.
perf_event_attr fault_attributes() {
  perf_event_attr attr = attributes();
  attr.config = PERF_COUNT_SW_PAGE_FAULTS;
  attr.sample_period = 1;
  attr.sample_type |= PERF_SAMPLE_ADDR;
  attr.remove_on_exec = 1;
  return attr;
}

/// Each mapping, and each program that begins.
perf_event_attr map_attributes() {
  perf_event_attr attr = attributes();
  attr.config = PERF_COUNT_SW_DUMMY;
  attr.mmap = attr.mmap_data = attr.mmap2 = 1;
  attr.comm = attr.comm_exec = 1;
  attr.sample_id_all = 1;
  return attr;
}

/// "0-3,8-11", as /sys has it; all that there may be, where it has nothing.
std::vector<int> online_processors() {
  std::vector<int> found;
  std::istringstream text(read_file("/sys/devices/system/cpu/online"));
  int first = 0;
  for (char end = ','; end == ',' && text >> first; text >> end) {
    int last = first;
    if (text.peek() == '-') text.ignore() >> last;
    for (end = 0; first <= last; ++first) found.push_back(first);
  }
  const long all = found.empty() ? ::sysconf(_SC_NPROCESSORS_CONF) : 0;
  for (int processor = 0; processor < all; ++processor) found.push_back(processor);
  return found;
}

}  // namespace

/// A thread that is born of one that is not watched yet is found when all are looked for again.
std::optional<FaultRings> FaultRings::open(pid_t pid, std::size_t at_most) {
  constexpr int kRounds = 8;
  const std::vector<int> processors = online_processors();
  FaultRings rings;
  std::set<int> known;
  for (int round = 0; round < kRounds; ++round) {
    const std::size_t before = known.size();
    for (const int tid : numbered_entries(proc_path(pid, "task"))) {
      if (!known.insert(tid).second) continue;
      for (const int processor : processors) {
        if (rings.descriptors() + 2 > at_most) return std::nullopt;
        PerfRing maps(map_attributes(), tid, processor, kMapBytes, kMapAtOnce);
        PerfRing faults(fault_attributes(), tid, processor, kFaultBytes, kFaultAtOnce);
        if (maps.error() == ESRCH || faults.error() == ESRCH) break;  // it has left
        if (!maps.ok() || !faults.ok()) return std::nullopt;
        rings.maps_.push_back(std::move(maps));
        rings.faults_.push_back(std::move(faults));
      }
    }
    if (known.size() != before) continue;
    if (rings.faults_.empty()) return std::nullopt;
    return rings;
  }
  return std::nullopt;
}

std::optional<FaultRings::Fault> FaultRings::newest(pid_t pid) const {
  std::optional<Fault> newest;
  for (const PerfRing& ring : faults_)
    ring.visit([&](std::span<const std::byte> bytes) {
      const auto record = as<Sample>(bytes);
      if (!record || record->header.type != PERF_RECORD_SAMPLE ||
          record->pid != static_cast<std::uint32_t>(pid))
        return true;
      if (!newest || newest->time < record->time) newest = {record->time, record->address};
      return false;
    });
  return newest;
}

FaultRings::History FaultRings::history(const Fault& fault, std::uint64_t since, pid_t pid,
                                        pid_t of) const {
  History out;
  const auto look = [&](std::span<const std::byte> bytes) {
    const std::uint64_t time = time_of(bytes);
    if (time < since) return false;
    const auto comm = as<Comm>(bytes);
    if (comm && comm->header.type == PERF_RECORD_COMM &&
        (comm->header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0 &&
        comm->pid == static_cast<std::uint32_t>(pid))
      out.whole = false;
    const auto map = as<Mmap2>(bytes);
    if (!map || map->header.type != PERF_RECORD_MMAP2 || time > fault.time) return true;
    if (of != 0 && map->pid != static_cast<std::uint32_t>(of)) return true;
    if (fault.address < map->address || fault.address - map->address >= map->length) return true;
    if (!out.newest || out.newest->time < time)
      out.newest = {.time = time,
                    .pid = static_cast<pid_t>(map->pid),
                    .device = makedev(map->major, map->minor),
                    .inode = map->inode,
                    .offset = map->offset + (fault.address - map->address)};
    return true;
  };
  for (const PerfRing& ring : maps_)
    if (!ring.visit(look)) out.whole = false;
  return out;
}

}  // namespace teeio::run
