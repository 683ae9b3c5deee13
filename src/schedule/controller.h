#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "schedule/races.h"
#include "schedule/touch.h"

namespace teeio::schedule {

/// What a task is about to do to a shared object. commute() says which pairs
/// may change places; a reduction may only use that.
enum class OpKind : std::uint8_t {
  kLock,  ///< exclusive; enabled while the lock is free
  kUnlock,
  kReadLock,  ///< shared; commutes with kReadLock and kReadUnlock
  kReadUnlock,
  kEnqueue,  ///< joins a condition's queue; commutes with kEnqueue
  kWait,     ///< a condition's wait; enabled once notified (or timed out)
  kNotify,
  kLoad,       ///< commutes with kLoad
  kStore,      ///< store or read-modify-write
  kIncrement,  ///< reference count up, and not from zero; commutes with kIncrement and kDecrement
  kDecrement,  ///< down, and not to zero in whichever order of both; commutes likewise
  kTestCount,  ///< any other use of a reference count
  kDestroy,    ///< the end of a primitive that was used
  kJoin,       ///< enabled once the task (`object`) has ended
  kGiveWay,    ///< a busy retry begins: from here on a move of any other task enables it
  kYield,      ///< and goes on: enabled once any other task has moved since
  kSleep,      ///< enabled once its time has passed; commutes with all but the two above
  /// A section of a monitor, from its beginning to its end: commutes with all but its
  /// destruction, as far as the elements that it touches let it (Controller::touched()).
  kSection,
  kTell,  ///< nothing, before something is told after a section: a move of its own
};

[[nodiscard]] constexpr bool is_yield(OpKind kind) {
  return kind == OpKind::kGiveWay || kind == OpKind::kYield;
}

struct Op {
  OpKind kind;
  std::uint32_t object;  ///< number of the primitive within this run, from 1; 0 for none
};

/// Whether two operations of different tasks, both possible now, give the same
/// state in either order and leave each other possible. Never says so wrongly;
/// a yield commutes with nothing, since any move enables it: neither does its
/// beginning, since the moves after it do and those before it do not.
[[nodiscard]] bool commute(Op a, Op b);

/// "lock", "unlock", ... for printed schedules.
[[nodiscard]] std::string_view op_name(OpKind kind);

/// The explored mode's side of every primitive. Exactly one task runs at a
/// time, all on the OS thread that made the controller, so a primitive's own
/// state needs no protection between two points.
///
/// Lifetime: outlives every task of its run. A primitive that outlives a run is
/// numbered anew in the next; what it holds carries over.
class Controller {
 public:
  virtual ~Controller() = default;

  /// Announces `op` and returns when this task is chosen to perform it: a
  /// primitive changes its state after the point, not before it.
  /// `enabled(context)` says whether the operation can be performed now; the
  /// task is chosen only while it holds, and a run in which no task is enabled
  /// is a deadlock. A null `enabled` means always.
  ///
  /// Never throws and never unwinds the task, so a destructor may reach a
  /// point: what an abandoned run does with its tasks is in fiber_controller.h.
  virtual void point(Op op, bool (*enabled)(const void*), const void* context) = 0;

  /// As point(), but the wait may also end after `timeout_ns` of virtual time,
  /// which passes only while no task is enabled. Gives false on a time-out.
  virtual bool point_until(Op op, bool (*enabled)(const void*), const void* context,
                           std::uint64_t timeout_ns) = 0;

  /// As point() for a put, or for a get unless it is zero, of the reference count `op.object`:
  /// kDecrement or kIncrement, or kTestCount if it depends on others' gets and puts, which
  /// is known when a task is chosen.
  virtual void count_point(Op op, std::uint32_t (*count)(const void*), const void* context) = 0;

  /// A new primitive's number, in order of first use: the same in every
  /// execution of one schedule. `name` is a literal, for printed schedules;
  /// `owner` is where the primitive keeps its number.
  virtual std::uint32_t number_object(std::string_view name, const std::uint32_t* owner) = 0;
  /// Whether `number` was given to `owner` in this run.
  [[nodiscard]] virtual bool has_numbered(std::uint32_t number,
                                          const std::uint32_t* owner) const = 0;

  /// Keeps the memory of a destroyed object until the run has ended, so that
  /// its late use is a finding instead of undefined behaviour.
  virtual void quarantine(void* memory, void (*free)(void*)) = 0;

  /// Starts a task; gives its number, from 1 (the first task is 0). The task
  /// runs at once up to its first point, which is no choice: nothing before a
  /// task's first point may depend on others.
  virtual std::uint32_t spawn(std::string_view name, std::move_only_function<void()> body) = 0;
  [[nodiscard]] virtual bool ended(std::uint32_t task) const = 0;
  [[nodiscard]] virtual std::uint32_t current_task() const = 0;

  /// The running task's storage of TaskLocal slots, kMaxTaskLocals entries.
  virtual std::uint64_t* task_locals() = 0;

  [[nodiscard]] virtual std::uint64_t now_ns() const = 0;
  /// The running task's own sequence, so that draws of two tasks commute.
  virtual std::uint64_t random_u64() = 0;
  /// One of `count` alternatives, 0 being the ordinary one.
  virtual std::uint32_t choose(std::uint32_t count, std::string_view what) = 0;
  /// The running task's move, or what it did since, is part of a story that an
  /// observer reads in order: a bit for each story. Two moves of one story do not
  /// commute, whatever they do to the primitives.
  virtual void told(std::uint64_t stories) = 0;
  /// The running task's move, or what it did since, touches an element of what monitors guard.
  virtual void touched(Touch touch) = 0;
  /// By the present move so far, as a copy that is not on a run's heap.
  [[nodiscard]] virtual std::vector<Touch> touches() const = 0;

  /// Sections of monitors that the running task is in. No other task runs before their end,
  /// so they need no place in a task.
  [[nodiscard]] bool in_section() const {
    const Unwatched unwatched;
    return sections_ != 0;
  }
  void begin_section() {
    const Unwatched unwatched;
    ++sections_;
  }
  void end_section() {
    if (leave_section()) act_later();
  }
  /// Runs `act` with `on` when the outermost section ends, in the order of the calls.
  void defer(void (*act)(void*), void* on);
  /// Whether the running section has put something off.
  [[nodiscard]] bool has_deferred() const {
    const Unwatched unwatched;
    return has_deferred_;
  }

 protected:
  std::uint32_t sections_ = 0;
  bool after_section_ = false;  ///< since the present move began
  struct Later {
    void (*act)(void*);
    void* on;
  };
  /// What the running task has put off: what runs may wait, and other tasks end sections then.
  [[nodiscard]] virtual std::vector<Later>& later() = 0;
  bool has_deferred_ = false;  ///< by the running section

 private:
  /// Whether what was put off is to be done now.
  bool leave_section() {
    const Unwatched unwatched;
    --sections_;
    after_section_ = true;
    return sections_ == 0 && has_deferred_;
  }
  void act_later();
  std::optional<Later> take_later();
};

/// The controller of the run that this OS thread executes; nullptr: native.
[[nodiscard]] Controller* controller();
/// Installs one for this OS thread (nullptr: native again).
void set_controller(Controller* controller);

/// What a check says that meets a destroyed primitive.
inline constexpr std::string_view kUsedAfterFree =
    "a lock, condition, count or flag is used after it was freed";

namespace detail {

/// A primitive's number, taken at its first use. Fails a check when the
/// primitive was destroyed (its memory being in quarantine).
std::uint32_t number_of(Controller& c, std::uint32_t& number, std::string_view name);

/// What every primitive's destructor calls: a scheduling point if it was used.
void destroy(std::uint32_t& number) noexcept;

/// A scheduling point on a primitive in explored mode; nothing natively.
inline void announce(OpKind kind, std::uint32_t& number, std::string_view name) {
  if (Controller* c = controller(); c != nullptr) [[unlikely]]
    c->point({kind, number_of(*c, number, name)}, nullptr, nullptr);
}

}  // namespace detail
}  // namespace teeio::schedule
