#include "explore/dpor.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "explore/finding.h"

namespace teeio::explore {
namespace {

constexpr std::uint32_t kNobody = HappensBefore::kNone;
/// The late move's place in a sequence, where events stand for themselves.
constexpr std::uint32_t kLate = kNobody - 1;
/// In the place of a node's number: there was nobody else to move.
constexpr std::uint32_t kForced = kNobody;

using schedule::OpKind;

}  // namespace

// ---- From schedule to schedule

bool Dpor::begin() {
  settle();
  depth_ = 0;
  sleep_ = 0;
  lead_.clear();
  lead_at_ = 0;
  order_.start_run();
  node_of_event_.clear();
  if (!started_) return started_ = true;
  keep_first_path();
  if (std::exchange(restricted_, false)) {
    new_from_ = path_.size() - 1;
    return true;
  }
  while (path_.size() > floor_) {
    if (advance()) {
      new_from_ = path_.size() - 1;
      return true;
    }
    pop();
  }
  return false;
}

/// The next try at the last node.
bool Dpor::advance() {
  Node& node = path_.back();
  if (node.kind == Choice::Kind::kAlternative) return ++node.chosen < node.count;
  node.sleep |= task_bit(node.chosen);
  node.tried |= task_bit(node.chosen);
  node.todo &= ~node.sleep;
  if (node.todo == 0) return false;
  node.chosen = static_cast<std::uint32_t>(std::countr_zero(node.todo));
  node.todo &= ~task_bit(node.chosen);
  follow_hint(node);
  return true;
}

void Dpor::follow_hint(Node& node) {
  for (std::uint32_t h = node.hints; h != kNobody; h = hints_[h].next)
    if (hints_[h].task == node.chosen) {
      lead_ = hints_[h].steps;
      lead_at_ = 1;
      return;
    }
}

void Dpor::pop() {
  drop_hints(path_.back());
  if (path_.back().kind == Choice::Kind::kTask) {
    candidates_.resize(path_.back().candidates);
    left_.resize(path_.back().candidates);
  }
  path_.pop_back();
}

void Dpor::drop_hints(Node& node) {
  while (node.hints != kNobody) {
    Hint& hint = hints_[node.hints];
    const std::uint32_t next = std::exchange(hint.next, free_hints_);
    free_hints_ = std::exchange(node.hints, next);
  }
}

// ---- One schedule

void Dpor::check_same(const Node& node, const Moment& moment) const {
  const auto same = [](const Candidate& a, const Candidate& b) {
    return a.task == b.task && a.op.kind == b.op.kind && a.op.object == b.op.object &&
           a.gate == b.gate;
  };
  TEEIO_CHECK(node.kind == Choice::Kind::kTask &&
                  std::ranges::equal(candidates_of(node), moment.candidates, same),
              kVaries);
}

std::uint32_t Dpor::first_choice(const Moment& moment) {
  const auto awake = [this](const Candidate& c) { return (sleep_ & task_bit(c.task)) == 0; };
  if (lead_at_ < lead_.size()) {
    const std::uint32_t wanted = lead_[lead_at_++];
    const auto at = std::ranges::find(moment.candidates, wanted, &Candidate::task);
    if (at != moment.candidates.end() && awake(*at)) return wanted;
    lead_.clear();
  }
  const auto first = std::ranges::find_if(moment.candidates, awake);
  return first == moment.candidates.end() ? kNobody : first->task;
}

Footprints::Number& Dpor::footprint_at(const Node& node, std::uint32_t task) {
  const auto candidates = candidates_of(node);
  const auto at = std::ranges::find(candidates, task, &Candidate::task);
  return left_[node.candidates + static_cast<std::size_t>(at - candidates.begin())];
}

/// Who still sleeps after `move`, as far as its operation tells.
void Dpor::sleep_on(const Node& node, const Candidate& move) {
  sleep_ = 0;
  const auto candidates = candidates_of(node);
  for (std::uint64_t left = node.sleep & ~task_bit(node.chosen); left != 0; left &= left - 1) {
    const auto task = static_cast<std::uint32_t>(std::countr_zero(left));
    const auto sleeper = std::ranges::find(candidates, task, &Candidate::task);
    if (sleeper == candidates.end() || dependent(*sleeper, move)) continue;
    sleep_ |= task_bit(task);
    sleep_left_[task] = footprint_at(node, task);
  }
}

/// Whatever the only task does comes before all that those do which it may still spawn.
bool Dpor::has_opponents() const { return under_way_ && order_.tasks() > 1; }

void Dpor::told(std::uint64_t stories) {
  if (has_opponents()) add_stories(stories, touched_);
}

void Dpor::touched(Touch touch) {
  if (has_opponents()) touched_.push_back(touch);
}

/// Not before: the races of a move are those of its operation and of what it
/// tells and touches, and what comes before it even when one is reversed likewise.
void Dpor::settle() {
  if (!std::exchange(under_way_, false)) return;
  const std::uint32_t last = order_.events() - 1;
  const Candidate& move = order_.move(last);
  const Footprints::Number left = footprints_.number_of(touched_);
  touched_.clear();
  if (left != Footprints::kNothing) {
    note_footprint(node_of_event_[last], move.task, left);
    for (std::uint64_t asleep = sleep_; asleep != 0; asleep &= asleep - 1) {
      const auto task = static_cast<std::uint32_t>(std::countr_zero(asleep));
      if (footprints_.conflict(sleep_left_[task], left)) sleep_ &= ~task_bit(task);
    }
  }
  using Wanted = HappensBefore::Wanted;
  const auto races =
      order_.finish(footprints_.touches(left), is_new() ? Wanted::kRaces : Wanted::kOrder);
  for (const HappensBefore::Race& race : races) reverse(race, move, last, left);
}

void Dpor::note_footprint(std::uint32_t node, std::uint32_t task, Footprints::Number left) {
  if (node == kForced) return;
  Footprints::Number& known = footprint_at(path_[node], task);
  known = footprints_.both(known, left);
}

/// Who moves alone needs no node: nobody else is ever tried there. None of those that sleep can
/// move here, so that they are woken.
std::uint32_t Dpor::force(const Candidate& only) {
  if ((sleep_ & task_bit(only.task)) != 0) return kPrune;
  const bool follows = depth_ == path_.size() && lead_at_ < lead_.size();
  if (follows && lead_[lead_at_++] != only.task) lead_.clear();
  sleep_ = 0;
  go_on(only, kForced);
  return 0;
}

void Dpor::go_on(const Candidate& move, std::uint32_t node) {
  node_of_event_.push_back(node);
  order_.add(move);
  under_way_ = true;
}

std::uint32_t Dpor::pick(const Moment& moment) {
  settle();
  order_.know_tasks(moment.tasks);
  if (moment.candidates.size() == 1) return force(moment.candidates.front());
  if (depth_ == path_.size()) {
    const std::uint32_t first = first_choice(moment);
    if (first == kNobody) return kPrune;
    path_.push_back({.kind = Choice::Kind::kTask,
                     .chosen = first,
                     .count = static_cast<std::uint32_t>(moment.candidates.size()),
                     .candidates = static_cast<std::uint32_t>(candidates_.size()),
                     .sleep = sleep_});
    candidates_.insert(candidates_.end(), moment.candidates.begin(), moment.candidates.end());
    for (const Candidate& c : moment.candidates)
      left_.push_back((sleep_ & task_bit(c.task)) != 0 ? sleep_left_[c.task]
                                                       : Footprints::kNothing);
  } else {
    check_same(path_[depth_], moment);
  }
  const Node& node = path_[depth_];
  const auto at = std::ranges::find(moment.candidates, node.chosen, &Candidate::task);
  sleep_on(node, *at);
  go_on(*at, static_cast<std::uint32_t>(depth_++));
  return static_cast<std::uint32_t>(at - moment.candidates.begin());
}

std::uint32_t Dpor::choose(std::uint32_t count) {
  if (depth_ == path_.size())
    path_.push_back({.kind = Choice::Kind::kAlternative, .chosen = 0, .count = count});
  const Node& node = path_[depth_++];
  TEEIO_CHECK(node.kind == Choice::Kind::kAlternative && node.count == count, kVaries);
  return node.chosen;
}

void Dpor::stuck(std::span<const Candidate> waiting) {
  settle();
  if (is_new()) reverse_waits(waiting);
  order_.barrier();
}

/// Whoever waits here for a lock is not seen to take it in this schedule.
void Dpor::pruned(std::span<const Candidate> waiting) { reverse_waits(waiting); }

void Dpor::reverse_waits(std::span<const Candidate> waiting) {
  for (const Candidate& c : waiting)
    for (const HappensBefore::Race& race : order_.races_of_blocked(c))
      reverse(race, c, order_.events(), Footprints::kNothing);
}

// ---- Races

/// Makes sure that `late` is tried before race.event too: at the decision there,
/// by a task with which some order begins that has the two reversed.
void Dpor::reverse(const HappensBefore::Race& race, const Candidate& late, std::uint32_t end,
                   Footprints::Number left) {
  const std::uint32_t at = node_of_event_[race.event];
  if (at == kForced) return note_reversed(race.event, late);  // there was no other way round
  if (at < floor_) return;
  Node& node = path_[at];
  build_sequence(race, late, end);
  for (std::uint64_t begun = node.sleep | node.todo; begun != 0; begun &= begun - 1) {
    const auto task = static_cast<std::uint32_t>(std::countr_zero(begun));
    // What the late one reads, touches and tells is known of where it stood, behind the event
    // that it is to precede. Nobody knows it here, and so whether what comes between could as
    // well come after it.
    if (first_of_task_[task] == kLate && sequence_.size() > 1) continue;
    if (!is_initial(task)) continue;
    if (first_of_task_[task] == kLate && wake(node, task, left)) break;
    return;
  }
  note_reversed(race.event, late);
  const std::uint32_t first = sequence_[0] == kLate ? late.task : order_.move(sequence_[0]).task;
  const auto candidates = candidates_of(node);
  if (std::ranges::find(candidates, first, &Candidate::task) == candidates.end()) {
    // It becomes possible only by what comes later: whoever can move may lead there.
    for (const Candidate& c : candidates) node.todo |= task_bit(c.task);
    node.todo &= ~(node.sleep | task_bit(node.chosen));
    return;
  }
  node.todo |= task_bit(first);
  if (sequence_.size() > 1) add_hint(node, late.task);
}

/// `late` sleeps where it is to come first. That it was tried elsewhere, before all that it
/// meets, is enough if it was now seen to meet all of that: what else is to precede it, and
/// comes here, it then raced with. But if it touches more than it does behind the event that
/// it is to precede, others may have to come before it here, and nothing here shows which.
bool Dpor::wake(Node& node, std::uint32_t late, Footprints::Number left) {
  if ((node.sleep & ~node.tried & task_bit(late)) == 0) return false;
  Footprints::Number& here = footprint_at(node, late);
  if (footprints_.includes(left, here)) return false;
  here = Footprints::kNothing;
  node.sleep &= ~task_bit(late);
  return true;
}

void Dpor::note_reversed(std::uint32_t event, const Candidate& late) {
  const Candidate& early = order_.move(event);
  const auto is_section = [](const Candidate& c) { return c.op.kind == OpKind::kSection; };
  const bool retry = is_yield(early.op.kind) || is_yield(late.op.kind);
  const bool meet = is_section(early) || is_section(late)
                        ? order_.is_of_sections(event)
                        : !retry && early.op.object == late.op.object;
  reversed_.push_back(!meet ? 0 : is_section(late) ? late.op.object : early.op.object);
}

void Dpor::build_sequence(const HappensBefore::Race& race, const Candidate& late,
                          std::uint32_t end) {
  sequence_.clear();
  std::fill_n(first_of_task_.begin(), order_.tasks(), kNobody);
  for (std::uint32_t e = race.event + 1; e < end; ++e) {
    if (order_.precedes(race.event, order_.clock_of(e))) continue;
    std::uint32_t& first = first_of_task_[order_.move(e).task];
    if (first == kNobody) first = e;
    sequence_.push_back(e);
  }
  sequence_.push_back(kLate);
  if (first_of_task_[late.task] == kNobody) first_of_task_[late.task] = kLate;
  late_clock_ = race.clock;
}

/// Whether the sequence, or one equal to it, begins with a move of `task`. A task
/// that has none in it does not count, even if its move commutes with all of it:
/// it may not with what comes after.
bool Dpor::is_initial(std::uint32_t task) const {
  const std::uint32_t first = first_of_task_[task];
  if (first == kNobody) return false;
  const HappensBefore::Clock clock = first == kLate ? late_clock_ : order_.clock_of(first);
  for (std::uint32_t t = 0; t < order_.tasks(); ++t) {
    if (t == task || first_of_task_[t] == kNobody || first_of_task_[t] == kLate) continue;
    if (clock[t] > first_of_task_[t]) return false;
  }
  return true;
}

void Dpor::add_hint(Node& node, std::uint32_t late_task) {
  std::uint32_t h = free_hints_;
  if (h == kNobody) {
    h = static_cast<std::uint32_t>(hints_.size());
    hints_.emplace_back();
  } else {
    free_hints_ = hints_[h].next;
  }
  Hint& hint = hints_[h];
  hint.steps.clear();
  for (const std::uint32_t e : sequence_)
    hint.steps.push_back(e == kLate ? late_task : order_.move(e).task);
  hint.task = hint.steps[0];
  hint.next = std::exchange(node.hints, h);
}

}  // namespace teeio::explore
