#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "object/event.h"
#include "schedule/raw_lock.h"

namespace teeio::object {

/// Sees events as they happen. Called under the trace's lock: must not emit.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  /// A call began or a state was reached. `event` lives as long as the trace.
  virtual void on_event(const Event& event) = 0;
  /// A call that on_event() announced is over; outcome, why, refused are set.
  virtual void on_outcome(const Event& /*event*/) {}
};

/// Optional fields of an event, in designated-initialiser style:
/// `{.detail = "code=LOCK", .function = bdf}`. Event says what each means.
struct EventFields {
  std::string detail = {};
  std::optional<Bdf> function = std::nullopt;
  std::uint32_t vm = 0;
  std::uint64_t a = 0, b = 0, c = 0;
};

/// The events of one machine, in one order.
///
/// Lifetime: outlives everything that emits into it.
/// Locking: any task may emit; emitting is no scheduling point, so tracing
/// does not change which interleavings an explored run has.
class Trace {
 public:
  Trace() = default;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  /// A call in progress: an arrow whose outcome is set when it is over. While
  /// it lives, events of the same task have it as their parent.
  class Call {
   public:
    Call(Call&& other) noexcept;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Call& operator=(Call&&) = delete;
    ~Call();                          ///< outcome "ok" unless one was given
    void refuse(const Error& error);  ///< "EBUSY: why"
    void refuse(std::string_view code, std::string_view why);  ///< firmware's own codes
    void outcome(std::string text);                            ///< e.g. "state=CONFIG_LOCKED"

   private:
    friend class Trace;
    Call(Trace* trace, std::uint64_t seq, std::uint64_t outer, std::uint64_t outer_lane)
        : trace_(trace), seq_(seq), outer_(outer), outer_lane_(outer_lane) {}
    Trace* trace_;
    std::uint64_t seq_;
    std::uint64_t outer_;
    std::uint64_t outer_lane_;  ///< the task's lane as it is stored
    bool done_ = false;
  };

  /// Emits an arrow. `name` is a literal.
  [[nodiscard]] Call call(Lane from, Lane to, std::string_view name, EventFields fields = {});
  /// Emits an arrow from the lane that the running task is in (the target of its
  /// innermost open call or LaneScope; kVmm outside of any) to `to`: how a room
  /// calls the next without knowing who called it.
  [[nodiscard]] Call call(Lane to, std::string_view name, EventFields fields = {});
  /// Emits a state that `lane` reached. `name` is a literal.
  void fact(Lane lane, Fact fact, std::string_view name, EventFields fields = {});

  void add_sink(TraceSink& sink);
  /// Keeps events for events(); off by default, since a long run has many.
  void keep_events(bool keep);
  /// While it lives, no other task emits, and events() may be read: for the words
  /// of a teeio that fails. Whoever would emit waits.
  [[nodiscard]] schedule::RawLockGuard hold() TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    return schedule::RawLockGuard(lock_);
  }
  /// The events kept so far. Only when no task emits.
  [[nodiscard]] const std::deque<Event>& events() const TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    return events_;
  }

 private:
  Event& emit(Lane from, Lane to, Fact fact, std::string_view name, EventFields&& fields)
      TEEIO_REQUIRES(lock_);
  void finish(Call& call, std::string outcome, std::string_view why, bool refused);

  schedule::RawLock lock_;
  std::vector<TraceSink*> sinks_ TEEIO_GUARDED_BY(lock_);
  std::deque<Event> events_ TEEIO_GUARDED_BY(lock_);
  std::deque<Event> open_ TEEIO_GUARDED_BY(lock_);  ///< calls in progress when events are not kept
  std::uint64_t next_seq_ TEEIO_GUARDED_BY(lock_) = 1;
  bool keep_ TEEIO_GUARDED_BY(lock_) = false;
};

/// The lane that the running task is in now.
[[nodiscard]] Lane current_lane();

/// Says, for the running task, in which lane it is outside of calls: who acts when
/// something runs later, or on another task, than the call that is its cause.
class LaneScope {
 public:
  explicit LaneScope(Lane lane);
  ~LaneScope();
  LaneScope(const LaneScope&) = delete;
  LaneScope& operator=(const LaneScope&) = delete;

 private:
  const std::uint64_t outer_;
};

/// Says, for the running task, on whose behalf events are emitted from here on.
class OriginScope {
 public:
  explicit OriginScope(const Origin& origin);
  ~OriginScope();
  OriginScope(const OriginScope&) = delete;
  OriginScope& operator=(const OriginScope&) = delete;
  [[nodiscard]] static Origin current();

 private:
  const Origin origin_;
  const Origin* const outer_;
};

}  // namespace teeio::object
