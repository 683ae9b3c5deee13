#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "run/perf_ring.h"

namespace teeio::run {

/// The page faults of a process and of its descendants, and what they map.
class FaultRings {
 public:
  /// Of all threads of the process; nullopt: the kernel refuses, or it would take more than
  /// `at_most` descriptors.
  static std::optional<FaultRings> open(pid_t pid, std::size_t at_most);

  [[nodiscard]] std::size_t descriptors() const { return faults_.size() + maps_.size(); }
  /// Whether `pid` is the same program as at that time, as far as is known.
  [[nodiscard]] bool is_same_program(pid_t pid, std::uint64_t since) const {
    return !faults_.front().ended() && history({}, since, pid, pid).whole;
  }

  struct Fault {
    std::uint64_t time = 0;  ///< CLOCK_MONOTONIC
    std::uint64_t address = 0;
  };
  /// The newest one of the process.
  [[nodiscard]] std::optional<Fault> newest(pid_t pid) const;

  struct Mapped {
    std::uint64_t time = 0;
    pid_t pid = 0;
    dev_t device = 0;
    ino_t inode = 0;
    std::uint64_t offset = 0;  ///< of the address that was asked for, in the file
  };
  /// What has been known of an address since a time.
  struct History {
    bool whole = true;  ///< nothing of it is overwritten, and no program was replaced
    std::optional<Mapped> newest;
  };
  /// What `of` (0: any process) has mapped there.
  [[nodiscard]] History history(const Fault& fault, std::uint64_t since, pid_t pid, pid_t of) const;

 private:
  FaultRings() = default;

  std::vector<PerfRing> faults_;  ///< the first thread's first
  std::vector<PerfRing> maps_;
};

}  // namespace teeio::run
