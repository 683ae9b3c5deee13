#include "report/fold.h"

#include <algorithm>
#include <string>
#include <unordered_map>

namespace teeio::report {
namespace {

using object::Event;

constexpr std::size_t kMaxPeriod = 4;
/// A pattern of several calls must come three times: twice is no rhythm yet.
constexpr std::size_t kMinPatternRepeats = 3;

/// An event with everything that happened inside of it.
struct Unit {
  const Event* event = nullptr;
  std::vector<std::size_t> children;  ///< indices of units
  std::size_t shape = 0;              ///< equal for equal units
  std::size_t last = 0;               ///< index of the last event inside
  std::size_t size = 1;               ///< events inside, its own included
};

/// Equal units, one after the other.
using Group = std::vector<std::size_t>;

class Folder {
 public:
  explicit Folder(const std::deque<Event>& events);
  std::vector<Fold> run();

 private:
  std::size_t shape_of(const Unit& unit);
  void add(std::vector<Group> groups, unsigned depth);
  void add_group(const Group& group, unsigned depth);
  [[nodiscard]] bool follows(const Group& before, const Group& after) const;
  [[nodiscard]] std::size_t repeats(const std::vector<Group>& groups, std::size_t at,
                                    std::size_t period) const;

  std::vector<Unit> units_;
  std::vector<std::size_t> roots_;
  std::unordered_map<std::string, std::size_t> shapes_;
  std::vector<Fold> folds_;
};

Folder::Folder(const std::deque<Event>& events) {
  units_.reserve(events.size());
  std::unordered_map<std::uint64_t, std::size_t> by_seq;
  for (const Event& event : events) {
    const std::size_t index = units_.size();
    units_.push_back({.event = &event, .children = {}, .shape = 0, .last = index, .size = 1});
    by_seq.emplace(event.seq, index);
    const auto parent = by_seq.find(event.parent);
    if (event.parent == 0 || parent == by_seq.end())
      roots_.push_back(index);
    else
      units_[parent->second].children.push_back(index);
  }
  // Children come after their parent, so backwards each unit is complete.
  for (std::size_t i = units_.size(); i-- > 0;) {
    Unit& unit = units_[i];
    for (const std::size_t child : unit.children) {
      unit.last = std::max(unit.last, units_[child].last);
      unit.size += units_[child].size;
    }
    unit.shape = shape_of(unit);
  }
}

std::size_t Folder::shape_of(const Unit& unit) {
  const Event& e = *unit.event;
  std::string key;
  const auto number = [&](std::uint64_t value) { key += std::to_string(value) + ' '; };
  number(static_cast<std::uint64_t>(e.from));
  number(static_cast<std::uint64_t>(e.to));
  number(static_cast<std::uint64_t>(e.fact));
  number(e.function ? e.function->rid() + 1U : 0U);
  number(e.vm);
  key.append(e.name).append("=").append(e.outcome);
  for (const std::size_t child : unit.children) key += ',' + std::to_string(units_[child].shape);
  return shapes_.try_emplace(std::move(key), shapes_.size()).first->second;
}

/// Whether nothing happened between each unit and its counterpart.
bool Folder::follows(const Group& before, const Group& after) const {
  const auto whole = [&](std::size_t at) { return units_[at].last - at + 1 == units_[at].size; };
  return std::equal(before.begin(), before.end(), after.begin(), after.end(),
                    [&](std::size_t x, std::size_t y) {
                      return whole(x) && whole(y) && units_[x].last + 1 == y;
                    });
}

/// How often the `period` groups from `at` come one after the other.
std::size_t Folder::repeats(const std::vector<Group>& groups, std::size_t at,
                            std::size_t period) const {
  std::size_t same = 0;  // groups equal to the one a period before
  while (at + period + same < groups.size()) {
    const std::size_t next = at + period + same;
    if (units_[groups[next].front()].shape != units_[groups[next - period].front()].shape) break;
    if (!follows(groups[next - 1], groups[next])) break;
    ++same;
  }
  for (std::size_t i = 1; i < period; ++i)
    if (at + i >= groups.size() || !follows(groups[at + i - 1], groups[at + i])) return 1;
  return 1 + same / period;
}

void Folder::add(std::vector<Group> groups, unsigned depth) {
  for (std::size_t at = 0; at < groups.size();) {
    std::size_t period = 1, times = repeats(groups, at, 1);
    for (std::size_t p = 2; times == 1 && p <= kMaxPeriod; ++p)
      if (const std::size_t n = repeats(groups, at, p); n >= kMinPatternRepeats) {
        period = p;
        times = n;
      }
    for (std::size_t i = 0; i < period; ++i) {
      Group merged;
      for (std::size_t n = 0; n < times; ++n) {
        const Group& part = groups[at + n * period + i];
        merged.insert(merged.end(), part.begin(), part.end());
      }
      add_group(merged, depth);
    }
    at += period * times;
  }
}

void Folder::add_group(const Group& group, unsigned depth) {
  Fold& made = folds_.emplace_back();
  made.depth = depth;
  for (const std::size_t unit : group) made.events.push_back(units_[unit].event);
  std::sort(made.events.begin(), made.events.end(),
            [](const Event* x, const Event* y) { return x->seq < y->seq; });
  std::vector<Group> inside(units_[group.front()].children.size());
  for (std::size_t i = 0; i < inside.size(); ++i)
    for (const std::size_t unit : group) inside[i].push_back(units_[unit].children[i]);
  add(std::move(inside), depth + 1);
}

std::vector<Fold> Folder::run() {
  std::vector<Group> groups;
  for (const std::size_t root : roots_) groups.push_back({root});
  add(std::move(groups), 0);
  std::stable_sort(folds_.begin(), folds_.end(), [](const Fold& x, const Fold& y) {
    return x.events.front()->seq < y.events.front()->seq;
  });
  return std::move(folds_);
}

}  // namespace

std::vector<Fold> fold(const std::deque<Event>& events) { return Folder(events).run(); }

}  // namespace teeio::report
