#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "schedule/controller.h"
#include "schedule/fiber.h"
#include "schedule/native_state.h"
#include "schedule/run_heap.h"
#include "schedule/strategy.h"
#include "schedule/task.h"

namespace teeio::schedule {

/// Why a run could not end as it should.
struct Finding {
  enum class Kind : std::uint8_t {
    kCheck,       ///< a TEEIO_CHECK failed, or a task threw
    kDeadlock,    ///< nothing can move and not all tasks have ended
    kLostWakeup,  ///< the same, and what is waited for is no lock but a notification
    kLivelock,    ///< more points than the limit
  };
  Kind kind;
  std::string what;   ///< one sentence
  std::string where;  ///< "file:line", empty if it has no place
};

struct RunLimits {
  /// Points in one run before it counts as a livelock; a bind and unbind of
  /// one TDI takes a few hundred.
  std::uint64_t points = 100'000;
  std::uint64_t seed = 0x7ee10;
  /// Whether a lock, condition, count or flag that was used and is not destroyed
  /// when all tasks have ended is a finding: not where some outlive a run.
  bool find_leaks = false;
};

/// How one run ended.
struct Outcome {
  std::optional<Finding> finding;
  Choices choices;  ///< replays the run
  std::uint64_t points = 0;
  bool pruned = false;  ///< the strategy stopped deciding before the end
  /// Of who did what, step by step: differs if two runs do (but for an accident).
  std::uint64_t digest = 0;
};

/// The explored mode: every task a fiber of the calling OS thread, parked at
/// its next operation until the strategy picks it.
///
/// How a run ends. Nothing is ever thrown through a task: destructors and
/// other noexcept code reach points too. A pruned run goes on without
/// preemption until all tasks have ended, so it cleans up after itself (and a
/// finding in it is as true as any). A run with a finding cannot go on: its
/// tasks are frozen where they stand, and their stacks, with all they own, are
/// kept for the life of the process. A finding therefore costs memory (stacks
/// touched plus objects made); the next run starts from fresh fibers.
///
/// Lifetime: must outlive no run; reuse one for many runs, it keeps the stacks.
/// Locking: one OS thread; two threads may each have one.
class FiberController final : public Controller {
 public:
  static constexpr std::size_t kStackBytes = std::size_t{512} * 1024;  ///< address space each

  explicit FiberController(Strategy& strategy, RunLimits limits = {});
  ~FiberController() override;

  /// Runs `body` as task 0 until all tasks have ended or something is found.
  /// Precondition: the strategy's begin() said true; no controller installed.
  Outcome run(const std::function<void()>& body);

  /// The last run step by step: "  12  closer    lock igroup->lock #4", one
  /// line each, "*" where the task changed.
  [[nodiscard]] std::string story() const;
  /// Of the last run's tasks, by number.
  [[nodiscard]] const std::vector<std::string>& task_names() const { return task_names_; }
  /// Of the last run's primitives: "igroup->lock"; empty for 0.
  [[nodiscard]] std::string_view object_name(std::uint32_t number) const {
    return objects_[number].name;
  }

  /// The running task is the only one that is left, has joined all others, and spawns
  /// none from here on. Nobody is asked who moves next any more, which costs a tenth;
  /// deadlocks, late uses and time stay as they are, and so does choose().
  void go_on_alone();

  /// From its second run on, a body that comes to a checkpoint() need not come there again:
  /// later runs begin there. The same body in each run; what it changes is on its heap and
  /// its stacks, or goes back by itself (run_heap.h).
  void begin_at_checkpoints() { wants_checkpoint_ = true; }
  /// The opposite: from now on every run begins at its beginning. Gives back what was kept.
  void end_checkpoints() { forget_start(); }
  /// The running task is alone, before its first point: later runs may begin here. Nothing
  /// if they cannot.
  void checkpoint();
  /// Whether all that this run does to its memory is undone, so that nothing need be freed.
  [[nodiscard]] bool goes_back() const { return start_ != nullptr && in_heap_; }

  void point(Op op, bool (*enabled)(const void*), const void* context) override;
  bool point_until(Op op, bool (*enabled)(const void*), const void* context,
                   std::uint64_t timeout_ns) override;
  void count_point(Op op, std::uint32_t (*count)(const void*), const void* context) override;
  std::uint32_t number_object(std::string_view name, const std::uint32_t* owner) override;
  [[nodiscard]] bool has_numbered(std::uint32_t number, const std::uint32_t* owner) const override;
  void quarantine(void* memory, void (*free)(void*)) override;
  std::uint32_t spawn(std::string_view name, std::move_only_function<void()> body) override;
  [[nodiscard]] bool ended(std::uint32_t task) const override;
  [[nodiscard]] std::uint32_t current_task() const override;
  std::uint64_t* task_locals() override;
  [[nodiscard]] std::uint64_t now_ns() const override;
  std::uint64_t random_u64() override;
  std::uint32_t choose(std::uint32_t count, std::string_view what) override;
  void told(std::uint64_t stories) override;
  void touched(Touch touch) override;
  [[nodiscard]] std::vector<Touch> touches() const override;

 private:
  std::vector<Later>& later() override;
  static constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  struct TaskRecord;
  struct Step {
    std::uint32_t task;
    Op op;
  };
  struct Numbered {
    std::string_view name;
    const std::uint32_t* owner;
    bool destroyed = false;
    /// Of a count, by task: gets since the last kTestCount that its own puts have not given
    /// back.
    std::vector<std::uint32_t> taken = {};
  };
  struct Retired {
    void* memory;
    void (*free)(void*);
  };

  static void task_entry(void* record);
  static void on_check_failed(std::string_view what, std::source_location where);

  /// Where runs begin.
  struct Start {
    Fiber::Place place;
    NativeState native;
    Controller* installed = nullptr;
    std::unique_ptr<TaskRecord> main;  ///< between two runs
    std::uint64_t random_state = 0, descendants_state = 0;
    std::array<std::uint64_t, kMaxTaskLocals> locals{};
  };

  void start_run();
  void start_main(const std::function<void()>& body);
  void take_heap();
  void save_start();
  void begin_at_start();
  void forget_start();
  void finish_run();
  void freeze();
  TaskRecord& begin_task();
  TaskRecord& add_task(std::string_view name, std::move_only_function<void()> body);
  void park();
  [[nodiscard]] bool moves_alone(const TaskRecord& task);
  void note_move(const Candidate& move);
  void leave_for(std::uint32_t next, Fiber::Last last);
  [[noreturn]] void end_current_task();
  [[noreturn]] void stop(Finding finding);
  void end_run();
  [[nodiscard]] Finding deadlock() const;
  [[nodiscard]] std::string describe(Op op) const;

  [[nodiscard]] std::uint32_t next_task();
  [[nodiscard]] bool collect_candidates();
  void collect_candidate(const TaskRecord& task);
  [[nodiscard]] bool pass_time();
  [[nodiscard]] bool retry_alone();
  [[nodiscard]] Candidate::Gate gate_of(const TaskRecord& task) const;
  void tell_stuck();
  void tell_pruned();
  void note_count(const Candidate& move);
  void judge_count(Candidate& candidate, const TaskRecord& task) const;
  void collect_waiting(std::vector<Candidate>& out) const;
  [[nodiscard]] bool is_waited_for(const Candidate& destroyer);
  [[nodiscard]] std::uint32_t ask_strategy();

  Strategy& strategy_;
  const RunLimits limits_;
  Fiber thread_;  // run()'s own context
  std::vector<std::unique_ptr<TaskRecord>> tasks_;
  std::vector<std::unique_ptr<TaskRecord>> spare_;

  std::uint32_t current_ = kNobody;
  std::uint32_t starter_ = kNobody;  // whom a task that just started gives back to
  std::uint64_t now_ns_ = 0;
  bool draining_ = false;
  bool alone_ = false;
  Outcome outcome_;
  std::vector<Candidate> candidates_;
  std::size_t usual_choices_ = 0;  ///< the last run's, for room
  std::vector<Step> steps_;
  std::vector<Numbered> objects_;
  std::vector<std::string> task_names_;  // of the last run, for story()
  std::vector<Retired> retired_;
  std::vector<Touch> touches_;  ///< by the present move

  bool wants_checkpoint_ = false;
  std::uint64_t runs_ = 0;
  std::unique_ptr<RunHeap> heap_;  // before what may lie in it
  std::unique_ptr<Start> start_;
  bool in_heap_ = false;        // of the present run
  bool at_checkpoint_ = false;  // run() is to save where the first task stands
};

/// FiberController::checkpoint() and goes_back() of this OS thread's explored run; nothing,
/// and false, natively. Also while no controller is installed.
void checkpoint();
[[nodiscard]] bool goes_back();
/// Whether this OS thread executes one.
[[nodiscard]] bool is_explored();

/// FiberController::go_on_alone() of this OS thread's explored run; nothing natively.
void go_on_alone();

}  // namespace teeio::schedule
