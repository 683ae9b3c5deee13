#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "explore/footprint.h"
#include "explore/strategy.h"

namespace teeio::explore {

/// What must stay in which order in one run: a vector clock for each event, from
/// what tasks do to the objects they share, from spawn and join, and from
/// notifications. Each event costs a look at its own object and one clock, never
/// a look at other events.
///
/// Two events of different tasks are ordered if some move between them (or they)
/// do not commute. Which do, by object:
///  - locks: read-locks and read-unlocks with each other; conditions: enqueues
///    and waits; flags: loads; counts: gets and puts that are above zero in whichever order. All
///    else excludes. A woken wait only meets the condition's end.
///  - a busy retry meets everything, where it begins and where it goes on.
///  - moves that tell one story exclude each other (schedule::told()), and those that touch
///    one element of what a monitor guards, unless both read it or both update it.
///  - time passes only when nothing can move: everything before it comes before
///    everything after it.
class HappensBefore {
 public:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  static constexpr std::uint32_t kMaxTasks = 64;

  /// A clock: for each task, how many events up to its last one that must come
  /// before (an index + 1).
  using Clock = std::span<const std::uint32_t>;

  /// An earlier event that the new one might have come before.
  struct Race {
    std::uint32_t event;
    /// The new move's clock without `event`: what must come before it even then.
    Clock clock;
  };

  /// Races of moves that an earlier run made too are known.
  enum class Wanted : std::uint8_t { kRaces, kOrder };

  void start_run();
  /// Tasks spawned so far; the new ones were by the last event.
  void know_tasks(std::uint32_t count);
  /// The next event. Its number is events() before the call.
  void add(const Candidate& move);
  /// The last event is over, and left this footprint. Once for each event, before the
  /// next one. Gives its races, of which none comes before another; valid until the
  /// next call.
  std::span<const Race> finish(std::span<const Touch> footprint, Wanted wanted);
  /// Of a race that finish() gave: whether it is one of footprints, and not of stories.
  [[nodiscard]] bool is_of_sections(std::uint32_t event) const;
  /// `waiting` cannot move: the races of the lock that it waits for. What it would
  /// tell is not known, so that more may come before it than a clock says.
  std::span<const Race> races_of_blocked(const Candidate& waiting);
  /// Nothing could move: what follows comes after everything so far.
  void barrier();

  [[nodiscard]] std::uint32_t events() const { return static_cast<std::uint32_t>(moves_.size()); }
  [[nodiscard]] const Candidate& move(std::uint32_t event) const { return moves_[event]; }
  /// Whether `event` must come before what has `clock`.
  [[nodiscard]] bool precedes(std::uint32_t event, Clock clock) const {
    return clock[moves_[event].task] > event;
  }
  [[nodiscard]] Clock clock_of(std::uint32_t event) const {
    return {clocks_.data() + std::size_t{event} * width_, width_};
  }
  [[nodiscard]] std::uint32_t tasks() const { return known_tasks_; }

 private:
  /// One task's last event of some kind on an object.
  struct Mark {
    std::uint32_t task;
    std::uint32_t event;
  };
  struct Object {
    std::uint32_t exclusive = kNone;  ///< last event that commutes with none
    std::vector<Mark> shared;         ///< last of each task since then
    std::vector<Mark> quiet;          ///< woken waits: they meet the end only
    std::uint32_t holder = kNone;     ///< task that holds it exclusively
    std::uint32_t acquired = kNone;   ///< its event; kept after the unlock
    std::uint32_t readers = 0;
    std::vector<Mark> read_locks;  ///< each task's last one
    std::vector<Mark> held_reads;  ///< those not unlocked
    std::vector<Mark> enqueues;
    std::vector<std::uint32_t> notifies;
    void clear();
  };
  /// An event that the new one comes after, and the one to change places with.
  struct Conflict {
    std::uint32_t after;
    std::uint32_t race;  ///< kNone: it only lets the new one happen
  };

  /// An element of what monitors guard, or a story.
  struct Element {
    std::uint64_t name = 0;
    std::uint32_t run = 0;  ///< the others are free
    std::uint32_t written = kNone;
    std::vector<Mark> read;     ///< each task's last since then
    std::vector<Mark> updated;  ///< likewise
  };

  Object& object(std::uint32_t number) {
    if (number >= objects_.size()) objects_.resize(number + 16);
    used_objects_ = std::max(used_objects_, number + 1);
    return objects_[number];
  }
  Element& element(std::uint64_t name);
  void more_elements();
  void touch(const Touch& touch, std::uint32_t event);
  void come_after(std::uint32_t before, bool story);
  static void mark(std::vector<Mark>& marks, std::uint32_t task, std::uint32_t event);
  static void unmark(std::vector<Mark>& marks, std::uint32_t task);
  [[nodiscard]] static std::uint32_t marked(const std::vector<Mark>& marks, std::uint32_t task);

  [[nodiscard]] std::uint32_t* task_clock(std::uint32_t task) {
    return task_clocks_.data() + std::size_t{task} * width_;
  }
  /// The last event's own, which its task has once it is over.
  [[nodiscard]] std::uint32_t* row_of(std::uint32_t event) {
    return clocks_.data() + std::size_t{event} * width_;
  }
  std::uint32_t* new_row(const std::uint32_t* like);
  void copy_clock(const std::uint32_t* from, std::uint32_t* to) const;
  void widen(std::uint32_t tasks);
  void join(std::uint32_t* clock, Clock other) const;

  void meet(std::uint32_t event, std::uint32_t race, std::uint32_t task);
  void meet_exclusive(const Object& o, const Candidate& move);
  void meet_all(const Object& o, const Candidate& move);
  void meet_yields(const Candidate& move);
  void collect(Object& o, const Candidate& move);
  void book(Object& o, const Candidate& move, std::uint32_t event);
  void drop_impossible();
  std::span<const Race> find_races(const std::uint32_t* clock);

  static constexpr std::uint32_t kBlock = 8;
  std::uint32_t width_ = kBlock;  // a multiple of it
  std::uint32_t known_tasks_ = 0;
  std::vector<Candidate> moves_;
  std::vector<std::uint32_t> clocks_;       // width_ a move; those of runs before behind them
  std::vector<std::uint32_t> task_clocks_;  // width_ a task, and behind those that are known
  std::vector<std::uint32_t> last_events_;  // by task, likewise
  std::uint32_t last_yield_ = kNone;
  std::vector<Element> elements_;  // a hash table, 2^n
  std::uint32_t used_elements_ = 0;
  std::uint32_t run_ = 1;
  std::vector<std::uint32_t> of_sections_;  // the last event's races there
  std::vector<Object> objects_;
  std::uint32_t used_objects_ = 0;
  std::vector<Conflict> conflicts_;
  std::vector<std::size_t> impossible_;  // conflicts that are no races
  std::vector<Race> races_;
  std::vector<std::uint32_t> race_clocks_;
};

/// Whether two moves that are possible now do not commute: as schedule::commute(),
/// with what the candidates know in addition.
[[nodiscard]] bool dependent(const Candidate& a, const Candidate& b);

}  // namespace teeio::explore
