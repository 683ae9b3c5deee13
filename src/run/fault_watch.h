#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run/fd.h"
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
    std::optional<Place> place;  ///< nullopt: it was in no mapping that was taken away
  };
  /// Of a process that has ended; nullopt: not known. Forgets the process.
  [[nodiscard]] std::optional<LastFault> last_of(pid_t pid);

 private:
  struct Range {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    Place place;  ///< of `start`
  };
  /// The ring of one thread's faults on one processor, and of who descends from it.
  class Ring {
   public:
    Ring(pid_t tid, int processor);
    Ring(Ring&& other) noexcept;
    Ring& operator=(Ring&&) = delete;
    ~Ring();
    [[nodiscard]] bool ok() const { return memory_ != nullptr; }
    struct Fault {
      std::uint64_t time = 0;
      std::uint64_t address = 0;
    };
    /// The newest one of the process.
    [[nodiscard]] std::optional<Fault> newest(pid_t pid) const;

   private:
    Fd fd_;
    std::byte* memory_ = nullptr;
  };
  struct Process {
    pid_t pid = 0;
    std::vector<Ring> rings;
    std::vector<Range> ranges;  ///< the newest last
  };

  [[nodiscard]] static std::vector<Ring> rings_of(pid_t pid, std::size_t at_most);
  void watch_locked(pid_t pid, const std::vector<Range>& ranges) TEEIO_REQUIRES(mutex_);

  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::vector<Process> processes_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::run
