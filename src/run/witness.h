#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "run/fault_watch.h"

namespace teeio::run {

/// Who is told what a program met, for words at the end of a run.
///
/// Lifetime: outlives the Supervisor.
/// Locking: called by any task, several at a time, with no lock held.
class Witness {
 public:
  virtual ~Witness() = default;
  /// Whether refused() and answered() want to be called: words for them take time.
  [[nodiscard]] virtual bool wants_calls() const { return true; }
  /// A call to the machine was refused. `call` is what `-v` prints before the
  /// result: "ioctl(770</dev/iommu>, IOMMU_DESTROY, {id=7})".
  virtual void refused(pid_t tid, const std::string& call, const Error& error) = 0;
  /// An ioctl of the machine's gave `value`.
  virtual void answered(std::uint32_t command, std::uint64_t argument, std::int64_t value) = 0;
  /// A process of the program that teeio reaped: the first one, and orphans.
  /// `name` is its comm, `wait_status` as waitpid(2) has it; `fault`, where it is known, the
  /// last page fault of who had a BAR mapped that was taken away.
  virtual void ended(pid_t pid, const std::string& name, int wait_status,
                     const std::optional<FaultWatch::LastFault>& fault) = 0;
};

}  // namespace teeio::run
