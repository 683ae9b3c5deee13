#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "entry/system_calls.h"
#include "report/explain.h"
#include "run/witness.h"
#include "schedule/raw_lock.h"

namespace teeio::cli {

/// What a run is explained by when it ended badly: the calls that were refused and
/// why, and how its processes ended.
///
/// Locking: its own, a raw one.
class RunStory final : public run::Witness {
 public:
  RunStory(report::Explainer& explainer, entry::SystemCalls& machine)
      : explainer_(explainer), machine_(machine) {}

  void refused(pid_t tid, const std::string& call, const Error& error) override;
  void answered(std::uint32_t command, std::uint64_t argument, std::int64_t value) override;
  void ended(pid_t pid, const std::string& name, int wait_status,
             const std::optional<run::FaultWatch::LastFault>& fault) override;

  /// The refused calls, oldest first, equal ones on one line; "" without any.
  [[nodiscard]] std::string refusals_text() const;
  /// How processes ended, as strace says it: those that a signal killed, or all.
  enum class Processes : bool { kKilled, kAll };
  [[nodiscard]] std::string processes_text(Processes which) const;
  /// "" unless the program's last ioctl asked for a capability that is not there.
  [[nodiscard]] std::string probe_text() const;
  /// Whether a signal killed a process, or a probe came last.
  [[nodiscard]] bool has_news() const;

 private:
  struct Refused {
    std::string text;  ///< "ioctl(…) = EBUSY: why"
    std::string cause;
    std::uint64_t seq = 0;  ///< of the first one; 0: no event of it
    std::size_t times = 1;
  };
  struct Ended {
    pid_t pid = 0;
    std::string name;
    int wait_status = 0;
    /// Where who died of SIGBUS was, or may have been where nobody knows.
    std::vector<report::Explainer::Revoked> revoked;
    bool is_known = false;
  };

  [[nodiscard]] std::optional<Bdf> function_of(const std::string& file);
  [[nodiscard]] bool shows(const run::FaultWatch::Place& place,
                           const report::Explainer::Revoked& bar);

  report::Explainer& explainer_;
  entry::SystemCalls& machine_;
  mutable schedule::RawLock lock_;
  std::deque<Refused> refused_ TEEIO_GUARDED_BY(lock_);  ///< the last ones
  std::size_t forgotten_ TEEIO_GUARDED_BY(lock_) = 0;    ///< before those
  std::vector<Ended> ended_ TEEIO_GUARDED_BY(lock_);
  std::optional<std::uint64_t> missing_capability_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::cli
