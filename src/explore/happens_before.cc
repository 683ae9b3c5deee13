#include "explore/happens_before.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace teeio::explore {
namespace {

using Gate = Candidate::Gate;
using schedule::OpKind;

bool is_woken(const Candidate& move) {
  return move.op.kind == OpKind::kWait && move.gate == Gate::kOpen;
}

/// Whether Op::object is a primitive that moves meet at.
bool has_object(OpKind kind) {
  return !is_yield(kind) && kind != OpKind::kJoin && kind != OpKind::kSleep &&
         kind != OpKind::kTell;
}

}  // namespace

bool dependent(const Candidate& a, const Candidate& b) {
  if (is_woken(a) || is_woken(b)) {
    if (is_yield(a.op.kind) || is_yield(b.op.kind)) return true;
    const bool ends = a.op.kind == OpKind::kDestroy || b.op.kind == OpKind::kDestroy;
    return ends && a.op.object == b.op.object;
  }
  return !schedule::commute(a, b);
}

void HappensBefore::Object::clear() {
  exclusive = kNone;
  holder = kNone;
  acquired = kNone;
  readers = 0;
  shared.clear();
  quiet.clear();
  read_locks.clear();
  held_reads.clear();
  enqueues.clear();
  notifies.clear();
}

void HappensBefore::start_run() {
  for (std::uint32_t i = 0; i < used_objects_; ++i) objects_[i].clear();
  used_objects_ = 0;
  moves_.clear();
  last_yield_ = kNone;
  ++run_;
  used_elements_ = 0;
  known_tasks_ = 0;
}

void HappensBefore::mark(std::vector<Mark>& marks, std::uint32_t task, std::uint32_t event) {
  for (Mark& m : marks)
    if (m.task == task) {
      m.event = event;
      return;
    }
  marks.push_back({task, event});
}

void HappensBefore::unmark(std::vector<Mark>& marks, std::uint32_t task) {
  std::erase_if(marks, [task](const Mark& m) { return m.task == task; });
}

std::uint32_t HappensBefore::marked(const std::vector<Mark>& marks, std::uint32_t task) {
  for (const Mark& m : marks)
    if (m.task == task) return m.event;
  return kNone;
}

void HappensBefore::widen(std::uint32_t tasks) {
  const std::uint32_t wider = (tasks + kBlock - 1) / kBlock * kBlock;
  const auto restride = [this, wider](std::vector<std::uint32_t>& rows) {
    std::vector<std::uint32_t> out(rows.size() / width_ * wider, 0);
    for (std::size_t row = 0; row < rows.size() / width_; ++row)
      std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(row * width_), width_,
                  out.begin() + static_cast<std::ptrdiff_t>(row * wider));
    rows = std::move(out);
  };
  restride(clocks_);
  restride(task_clocks_);
  width_ = wider;
}

void HappensBefore::know_tasks(std::uint32_t count) {
  if (count == known_tasks_) return;
  TEEIO_CHECK(count <= kMaxTasks, "more tasks than a reduction can hold");
  if (count > width_) widen(count);
  if (count > last_events_.size()) {
    last_events_.resize(count);
    task_clocks_.resize(std::size_t{count} * width_);
  }
  for (; known_tasks_ < count; ++known_tasks_) {
    last_events_[known_tasks_] = kNone;
    if (moves_.empty())
      std::fill_n(task_clock(known_tasks_), width_, 0U);
    else
      copy_clock(row_of(events() - 1), task_clock(known_tasks_));
  }
}

void HappensBefore::copy_clock(const std::uint32_t* from, std::uint32_t* to) const {
  for (std::uint32_t at = 0; at < width_; at += kBlock)
    std::memcpy(to + at, from + at, kBlock * sizeof(std::uint32_t));
}

/// Behind the tasks that are known clocks are zero.
void HappensBefore::join(std::uint32_t* clock, Clock other) const {
  for (std::uint32_t i = 0; i < known_tasks_; ++i) clock[i] = std::max(clock[i], other[i]);
}

std::uint32_t* HappensBefore::new_row(const std::uint32_t* like) {
  const std::size_t end = (std::size_t{events()} + 1) * width_;
  if (end > clocks_.size()) clocks_.resize(2 * end);
  std::uint32_t* const row = clocks_.data() + (end - width_);
  copy_clock(like, row);
  return row;
}

void HappensBefore::barrier() {
  for (std::uint32_t t = 1; t < known_tasks_; ++t) join(task_clock(0), {task_clock(t), width_});
  for (std::uint32_t t = 1; t < known_tasks_; ++t)
    std::copy_n(task_clock(0), width_, task_clock(t));
}

// ---- What a move meets

void HappensBefore::meet(std::uint32_t event, std::uint32_t race, std::uint32_t task) {
  if (event != kNone && moves_[event].task != task) conflicts_.push_back({event, race});
}

void HappensBefore::meet_exclusive(const Object& o, const Candidate& move) {
  if (o.exclusive == kNone) return;
  // A lock that waits for its turn cannot come before the unlock that lets it
  // in, but before the lock that kept it out.
  const bool waited = move.gate == Gate::kOpen && moves_[o.exclusive].op.kind == OpKind::kUnlock;
  meet(o.exclusive, waited ? o.acquired : o.exclusive, move.task);
}

void HappensBefore::meet_all(const Object& o, const Candidate& move) {
  if (o.shared.empty()) return meet_exclusive(o, move);
  for (const Mark& m : o.shared) {
    const bool waited = move.gate == Gate::kOpen && moves_[m.event].op.kind == OpKind::kReadUnlock;
    meet(m.event, waited ? marked(o.read_locks, m.task) : m.event, move.task);
  }
}

void HappensBefore::meet_yields(const Candidate& move) {
  if (!is_yield(move.op.kind)) {
    if (last_yield_ != kNone) meet(last_yield_, last_yield_, move.task);
    return;
  }
  for (std::uint32_t task = 0; task < known_tasks_; ++task)
    meet(last_events_[task], last_events_[task], move.task);
}

void HappensBefore::collect(Object& o, const Candidate& move) {
  switch (move.op.kind) {
    case OpKind::kLock:
    case OpKind::kUnlock:
    case OpKind::kNotify:
    case OpKind::kStore:
    case OpKind::kTestCount:
      return meet_all(o, move);
    case OpKind::kReadLock:
    case OpKind::kReadUnlock:
    case OpKind::kEnqueue:
    case OpKind::kLoad:
    case OpKind::kIncrement:
    case OpKind::kDecrement:
    case OpKind::kSection:
      return meet_exclusive(o, move);
    case OpKind::kWait: {
      if (!is_woken(move)) return meet_exclusive(o, move);
      const std::uint32_t enqueued = marked(o.enqueues, move.task);
      const auto by = std::ranges::upper_bound(o.notifies, enqueued);
      // One whose time had run out could have gone on before the notification.
      if (by != o.notifies.end()) meet(*by, move.expired ? *by : kNone, move.task);
      return;
    }
    case OpKind::kDestroy:
      for (const Mark& m : o.quiet) meet(m.event, m.event, move.task);
      return meet_all(o, move);
    case OpKind::kJoin:  // `object` is a task
    case OpKind::kGiveWay:
    case OpKind::kYield:
    case OpKind::kSleep:
    case OpKind::kTell:
      return;
  }
}

void HappensBefore::book(Object& o, const Candidate& move, std::uint32_t event) {
  const auto exclude = [&] {
    o.exclusive = event;
    o.shared.clear();
  };
  switch (move.op.kind) {
    case OpKind::kLock:
      exclude();
      if (o.holder == kNone && o.held_reads.empty()) {  // else a try that fails
        o.holder = move.task;
        o.acquired = event;
      }
      return;
    case OpKind::kUnlock:
      o.holder = kNone;
      return exclude();
    case OpKind::kNotify:
      o.notifies.push_back(event);
      return exclude();
    case OpKind::kStore:
    case OpKind::kTestCount:
      return exclude();
    case OpKind::kDestroy:
      o.quiet.clear();
      return exclude();
    case OpKind::kReadLock:
      mark(o.read_locks, move.task, event);
      mark(o.held_reads, move.task, event);
      return mark(o.shared, move.task, event);
    case OpKind::kReadUnlock:
      unmark(o.held_reads, move.task);
      return mark(o.shared, move.task, event);
    case OpKind::kEnqueue:
      mark(o.enqueues, move.task, event);
      return mark(o.shared, move.task, event);
    case OpKind::kWait:
      return mark(is_woken(move) ? o.quiet : o.shared, move.task, event);
    case OpKind::kLoad:
    case OpKind::kIncrement:
    case OpKind::kDecrement:
    case OpKind::kSection:
      return mark(o.shared, move.task, event);
    case OpKind::kJoin:
    case OpKind::kGiveWay:
    case OpKind::kYield:
    case OpKind::kSleep:
    case OpKind::kTell:
      return;
  }
}

/// What had to wait for one event cannot come before another that led to it: not
/// before a busy retry, or what was told, of one who held the lock. But it can where
/// that one also led to the lock being taken: it comes before both then.
void HappensBefore::drop_impossible() {
  const auto impossible = [this](const Conflict& c) {
    return std::ranges::any_of(conflicts_, [&](const Conflict& opener) {
      return opener.after != opener.race && opener.race != c.race &&
             precedes(c.race, clock_of(opener.after)) &&
             (opener.race == kNone || !precedes(c.race, clock_of(opener.race)));
    });
  };
  impossible_.clear();
  for (std::size_t i = 0; i < conflicts_.size(); ++i)
    if (conflicts_[i].race != kNone && impossible(conflicts_[i])) impossible_.push_back(i);
  for (const std::size_t i : impossible_) conflicts_[i].race = kNone;
}

/// From conflicts_: those that can change places with the new move, whose task
/// has `clock` before it.
std::span<const HappensBefore::Race> HappensBefore::find_races(const std::uint32_t* clock) {
  races_.clear();
  race_clocks_.clear();
  const Clock before{clock, width_};
  const auto hidden = [&](const Conflict& c) {
    if (c.race == kNone || precedes(c.race, before)) return true;
    return std::ranges::any_of(conflicts_, [&](const Conflict& other) {
      return other.race != kNone && other.race != c.race && !precedes(other.race, before) &&
             precedes(c.race, clock_of(other.race));
    });
  };
  for (const Conflict& c : conflicts_)
    if (!hidden(c)) races_.push_back({c.race, {}});
  race_clocks_.resize(races_.size() * width_);
  for (std::size_t i = 0; i < races_.size(); ++i) {
    std::uint32_t* const row = race_clocks_.data() + i * width_;
    std::copy_n(clock, width_, row);
    for (const Conflict& c : conflicts_)
      if (c.after != races_[i].event && !precedes(races_[i].event, clock_of(c.after)))
        join(row, clock_of(c.after));
    races_[i].clock = {row, width_};
  }
  return races_;
}

void HappensBefore::add(const Candidate& move) {
  const std::uint32_t event = events();
  conflicts_.clear();
  if (move.op.kind == OpKind::kJoin) {
    join(task_clock(move.task), {task_clock(move.op.object), width_});
  } else if (has_object(move.op.kind)) {
    collect(object(move.op.object), move);
  }
  if (last_yield_ != kNone || is_yield(move.op.kind)) meet_yields(move);
  std::uint32_t* const row = new_row(task_clock(move.task));
  for (const Conflict& c : conflicts_) join(row, clock_of(c.after));
  row[move.task] = event + 1;
  moves_.push_back(move);
  last_events_[move.task] = event;
  if (is_yield(move.op.kind))
    last_yield_ = event;
  else if (has_object(move.op.kind))
    book(objects_[move.op.object], move, event);
}

bool HappensBefore::is_of_sections(std::uint32_t event) const {
  return std::ranges::find(of_sections_, event) != of_sections_.end();
}

std::span<const HappensBefore::Race> HappensBefore::finish(std::span<const Touch> footprint,
                                                           Wanted wanted) {
  races_.clear();
  of_sections_.clear();
  const std::uint32_t event = events() - 1;
  for (const Touch& t : footprint) touch(t, event);
  std::uint32_t* const own = task_clock(moves_[event].task);  // as it was before the event
  if (!conflicts_.empty() && wanted == Wanted::kRaces) {
    drop_impossible();
    find_races(own);
  }
  copy_clock(row_of(event), own);
  return races_;
}

std::span<const HappensBefore::Race> HappensBefore::races_of_blocked(const Candidate& waiting) {
  conflicts_.clear();
  races_.clear();
  const OpKind kind = waiting.op.kind;
  if (kind != OpKind::kLock && kind != OpKind::kReadLock) return races_;
  const Object& o = object(waiting.op.object);
  // What it comes after all the same, once those that keep it out come later:
  // readers that have gone, for a writer.
  if (kind == OpKind::kLock)
    for (const Mark& m : o.shared) meet(m.event, kNone, waiting.task);
  if (o.exclusive != o.acquired) meet(o.exclusive, kNone, waiting.task);
  if (o.holder != kNone) meet(o.acquired, o.acquired, waiting.task);
  if (kind == OpKind::kLock)
    for (const Mark& m : o.held_reads) meet(m.event, m.event, waiting.task);
  return find_races(task_clock(waiting.task));
}

}  // namespace teeio::explore
