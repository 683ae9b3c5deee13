// What moves touch beside the objects of their operations: elements and stories.

#include <algorithm>
#include <utility>

#include "explore/happens_before.h"

namespace teeio::explore {

HappensBefore::Element& HappensBefore::element(std::uint64_t name) {
  if (used_elements_ * 2 >= elements_.size()) more_elements();
  const std::size_t mask = elements_.size() - 1;
  for (std::size_t at = name & mask;; at = (at + 1) & mask) {
    Element& e = elements_[at];
    if (e.run == run_ && e.name != name) continue;
    if (e.run == run_) return e;
    e.name = name;
    e.run = run_;
    e.written = kNone;
    e.read.clear();
    e.updated.clear();
    ++used_elements_;
    return e;
  }
}

void HappensBefore::more_elements() {
  constexpr std::size_t kFewest = 256;
  std::vector<Element> before = std::exchange(elements_, {});
  elements_.resize(std::max(before.size() * 2, kFewest));
  const std::size_t mask = elements_.size() - 1;
  for (Element& e : before) {
    if (e.run != run_) continue;
    std::size_t at = e.name & mask;
    while (elements_[at].run == run_) at = (at + 1) & mask;
    elements_[at] = std::move(e);
  }
}

/// Also where something else that may be reversed puts `before` in front of the last event.
void HappensBefore::come_after(std::uint32_t before, bool story) {
  const std::uint32_t task = moves_.back().task;
  if (before == kNone || precedes(before, {task_clock(task), width_})) return;
  const bool is_known = std::ranges::any_of(
      conflicts_, [before](const Conflict& c) { return c.after == before && c.race == before; });
  if (!is_known) meet(before, before, task);
  join(row_of(events() - 1), clock_of(before));
  if (!story) of_sections_.push_back(before);
}

void HappensBefore::touch(const Touch& touch, std::uint32_t event) {
  const bool story = Footprints::is_story(touch.element);
  const std::uint32_t task = moves_[event].task;
  Element& e = element(touch.element);
  come_after(e.written, story);
  if (touch.how != Touch::How::kRead)
    for (const Mark& m : e.read) come_after(m.event, story);
  if (touch.how != Touch::How::kUpdate)
    for (const Mark& m : e.updated) come_after(m.event, story);
  if (touch.how == Touch::How::kRead) return mark(e.read, task, event);
  if (touch.how == Touch::How::kUpdate) return mark(e.updated, task, event);
  e.written = event;
  e.read.clear();
  e.updated.clear();
}

}  // namespace teeio::explore
