#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run/fault_rings.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// Where a process was that died of SIGBUS, if in a mapping that was taken away from it.
///
/// That address goes to the process and its tracer only, and teeio traces nobody, so that
/// a debugger can. But the kernel counts page faults before it handles them, and a sample
/// of that count has the address (arch/x86/mm/fault.c, do_user_addr_fault():
/// PERF_COUNT_SW_PAGE_FAULTS). So from the moment that a mapping is taken away, the last
/// faults of who has it are kept. Where the kernel allows nobody to ask
/// (kernel.perf_event_paranoid above 2, a container's seccomp profile) nothing is known.
///
/// Locking: its own, a leaf.
class FaultWatch {
 public:
  /// A byte of an open file of the machine.
  struct Place {
    std::string file;  ///< DeviceFile::name
    std::uint64_t offset = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };

  /// All mappings of this file, `name`, are about to be taken away.
  void before_revoke(dev_t device, ino_t inode, const std::string& name);

  struct LastFault {
    /// nullopt: it is not known to have been in a mapping that was taken away. It may have
    /// been: mremap() is not noted, nor are mappings of who began to map behind the revoke.
    std::optional<Place> place;
  };
  /// Of a process that has ended; nullopt: not known. Forgets the process. To be asked before
  /// it is reaped: the next revoke, of its own release perhaps, forgets who is not there. A
  /// signal that somebody sends is no fault, and what was the last one before it counts.
  [[nodiscard]] std::optional<LastFault> last_of(pid_t pid);

 private:
  struct File {
    dev_t device = 0;
    ino_t inode = 0;
    std::string name;
  };
  struct Range {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    Place place;  ///< of `start`
  };
  struct Process {
    pid_t pid = 0;
    FaultRings rings;
    std::uint64_t since = 0;  ///< when `ranges` were read
    std::vector<Range> ranges;
  };

  [[nodiscard]] const std::string* name_of_locked(dev_t device, ino_t inode) const
      TEEIO_REQUIRES(mutex_);
  [[nodiscard]] std::vector<Range> ranges_locked(pid_t pid) const TEEIO_REQUIRES(mutex_);
  void watch_locked(pid_t pid) TEEIO_REQUIRES(mutex_);
  [[nodiscard]] std::optional<Place> place_locked(const Process& process,
                                                  const FaultRings::Fault& fault, pid_t pid) const
      TEEIO_REQUIRES(mutex_);

  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  /// That were taken away, the newest last. They outlive their release: that may come before
  /// the end of who had them open is seen.
  std::vector<File> files_ TEEIO_GUARDED_BY(mutex_);
  std::vector<Process> processes_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::run
