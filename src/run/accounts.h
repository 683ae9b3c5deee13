#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "host/mm/charges.h"
#include "run/fd.h"
#include "run/tasks.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// What the programs' processes and users are charged for pages that the machine has pinned:
/// mm_struct's pinned_vm and locked_vm, user_struct's locked_vm. What the kernel itself counts
/// of a process, such as mlock()'s pages, counts here too.
///
/// Lifetime: outlives every call and release of the run.
/// Locking: its own, a leaf, never held during a call into Tasks.
class Accounts final : public mm::Charges {
 public:
  explicit Accounts(Tasks& tasks) : tasks_(tasks) {}

  Payer payer() override;
  [[nodiscard]] bool may_set_mode() override;
  Result<void> charge(const Payer& payer, Mode mode, std::uint64_t pages) override;
  void uncharge(const Payer& payer, Mode mode, std::uint64_t pages) override;

  /// The text of /proc/<pid>/status with VmLck and VmPin as the emulated kernel has them;
  /// nullopt: the real one is right.
  [[nodiscard]] std::optional<std::string> status(const std::string& path, pid_t pid);

 private:
  struct Counts {
    std::uint64_t pinned = 0;
    std::uint64_t locked = 0;
    [[nodiscard]] bool any() const { return pinned != 0 || locked != 0; }
  };
  struct Space {
    std::uint64_t id;
    Fd pidfd;
    Fd directory;         ///< /proc/<process>, which shows the owner that it has now
    std::uint64_t execs;  ///< Tasks::exec_count() when it was looked up
  };
  std::uint64_t space_of(pid_t process);
  uid_t user_of(pid_t process);
  bool capable(pid_t tid, pid_t process, unsigned capability);
  Result<void> charge_user(const Payer& payer, std::uint64_t pages);
  Result<void> charge_space(const Payer& payer, Mode mode, std::uint64_t pages);
  std::uint64_t limit_of(pid_t process);

  Tasks& tasks_;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<pid_t, Space> spaces_ TEEIO_GUARDED_BY(mutex_);
  std::map<std::uint64_t, Counts> counts_ TEEIO_GUARDED_BY(mutex_);        ///< by space
  std::map<std::uint32_t, std::uint64_t> users_ TEEIO_GUARDED_BY(mutex_);  ///< locked, by user
  std::map<pid_t, std::uint64_t> limits_ TEEIO_GUARDED_BY(mutex_);  ///< the last that was seen
};

}  // namespace teeio::run
