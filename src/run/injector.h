#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "run/injection.h"
#include "run/order.h"
#include "schedule/fault_point.h"
#include "schedule/raw_lock.h"

namespace teeio::run {

/// Makes go wrong in a run what it was told, and knows what could have.
///
/// Lifetime: outlives the Supervisor; set_fault_plan() names it meanwhile.
/// Locking: its own, a leaf; what it saw is asked for when the run is over.
class Injector final : public schedule::FaultPlan {
 public:
  explicit Injector(std::vector<Injection> injections);

  /// What is to become of a call that the machine is about to carry out.
  struct Due {
    enum class What : std::uint8_t { kNothing, kRefuse, kKillBefore, kKillAfter } what;
    Errno error{};  ///< of kRefuse
  };
  /// `tid`: who makes it; 0 if that is not known.
  [[nodiscard]] Due call(std::string_view name, pid_t tid = 0);
  /// Who goes first, where that is chosen; else null.
  [[nodiscard]] Order* order() const { return order_.get(); }
  bool happens(schedule::FaultPlace place, std::string_view name, schedule::Fault fault) override;

  /// Where something could have gone wrong.
  struct Point {
    Injection::Kind kind =
        Injection::Kind::kKill;  ///< kKill for a call, kFirmware, kDevice, kOrder
    std::string name = {};
    schedule::Fault fault = schedule::Fault::kNone;  ///< of the last two
    std::uint32_t nth = 1;                           ///< of kOrder: all calls
    bool operator==(const Point&) const = default;
  };
  /// From now on points() are kept, the first kMaxPoints.
  void keep_points() { keeps_ = true; }
  static constexpr std::size_t kMaxPoints = 100'000;
  /// In the order in which they came.
  [[nodiscard]] const std::vector<Point>& points() const { return points_; }

  /// From now on stack() is taken, which takes a while.
  void keep_stack() { keeps_stack_ = true; }
  /// The program's stack where something went wrong the first time, as program_stack() has it;
  /// empty if that was in no call of its own, as after its end, and without keep_stack().
  [[nodiscard]] std::vector<std::string> stack() const;
  /// What never happened.
  [[nodiscard]] std::vector<Injection> unfired() const;
  /// How often `injection` could have happened to its name.
  [[nodiscard]] std::uint32_t count_of(const Injection& injection) const;
  /// The names to which it could have happened.
  [[nodiscard]] std::vector<std::string> names_for(const Injection& injection) const;

 private:
  using Key = std::tuple<Injection::Kind, std::string, schedule::Fault>;
  static Key key_of(const Injection& injection);
  /// Counts, and gives what is due; nullptr: nothing.
  const Injection* pass(Injection::Kind kind, std::string_view name, schedule::Fault fault);

  /// Something goes wrong in a call that `tid` waits in; 0: in nobody's.
  void take_stack(pid_t tid);
  /// Keeps in mind whether threads that live at the same time make calls.
  void note_caller(pid_t tid) TEEIO_REQUIRES(lock_);

  const std::vector<Injection> injections_;
  const std::unique_ptr<Order> order_;
  bool keeps_ = false;
  bool keeps_stack_ = false;
  mutable schedule::RawLock lock_;
  std::map<Key, std::uint32_t> counts_;
  std::vector<Point> points_;
  std::optional<std::vector<std::string>> stack_;
  std::set<pid_t> callers_;
  std::uint32_t calls_ = 0;
  std::optional<std::size_t> order_point_;  ///< of points_
};

}  // namespace teeio::run
