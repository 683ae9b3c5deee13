#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "explore/scenario/text.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::explore {

/// `meet NAME`: threads wait for each other until all are there that name it and may still come.
/// Who passes it by (an `if`), has ended or was killed is not waited for.
///
/// Lifetime: of one schedule. Locking: for all threads; each is one of the scenario's, by index.
class Meetings {
 public:
  explicit Meetings(const TextScenario& scenario);

  /// Waits at the step's meeting. False: the process ended meanwhile. A check fails where every
  /// thread that is left waits at a meeting for another one.
  [[nodiscard]] bool come(std::size_t thread, const TextStep& step);
  /// The thread goes on without it.
  void pass_by(std::size_t thread, const TextStep& step);
  /// It makes no further call.
  void leave(std::size_t thread);
  void end_process(std::uint32_t process);

 private:
  struct Place {
    schedule::Condition changed;
    std::set<std::size_t> missing;  ///< threads
  };
  struct Waiting {
    Place* place;
    const TextStep* step;
  };
  void strike_out(Place& place, std::size_t thread);
  [[nodiscard]] bool is_stuck() const;
  void look_whether_stuck() const;
  [[nodiscard]] bool is_dead(std::size_t thread) const;

  const TextScenario& scenario_;
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::map<std::string, Place> places_;
  std::map<std::size_t, Waiting> waiting_;  ///< also who may go on, and did not yet
  std::set<std::size_t> left_;              ///< threads that make further calls
  std::set<std::uint32_t> dead_;            ///< processes
};

}  // namespace teeio::explore
