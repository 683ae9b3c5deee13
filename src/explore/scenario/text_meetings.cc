#include "explore/scenario/text_meetings.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "explore/scenario/text_calls.h"

namespace teeio::explore {

Meetings::Meetings(const TextScenario& scenario) : scenario_(scenario) {
  for (std::size_t thread = 0; thread < scenario.threads.size(); ++thread) {
    left_.insert(thread);
    for (const TextStep& step : scenario.threads[thread].steps)
      if (step.call->meets) places_[step.texts.front()].missing.insert(thread);
  }
}

bool Meetings::is_dead(std::size_t thread) const {
  return dead_.contains(scenario_.threads[thread].process);
}

/// `thread` is there, or does not come.
void Meetings::strike_out(Place& place, std::size_t thread) {
  if (place.missing.erase(thread) != 0 && place.missing.empty()) place.changed.notify_all();
}

bool Meetings::come(std::size_t thread, const TextStep& step) {
  Place& place = places_.at(step.texts.front());
  const schedule::Lock lock(lock_);
  strike_out(place, thread);
  if (!place.missing.empty()) {
    waiting_[thread] = {&place, &step};
    look_whether_stuck();
    while (!place.missing.empty() && !is_dead(thread)) place.changed.wait(lock_);
    waiting_.erase(thread);
  }
  return !is_dead(thread);
}

void Meetings::pass_by(std::size_t thread, const TextStep& step) {
  const schedule::Lock lock(lock_);
  strike_out(places_.at(step.texts.front()), thread);
}

void Meetings::leave(std::size_t thread) {
  if (places_.empty()) return;  // no point of the explorer where nobody meets
  const schedule::Lock lock(lock_);
  for (auto& [name, place] : places_) strike_out(place, thread);
  left_.erase(thread);
  look_whether_stuck();
}

void Meetings::end_process(std::uint32_t process) {
  if (places_.empty()) return;
  const schedule::Lock lock(lock_);
  dead_.insert(process);
  for (auto& [name, place] : places_) place.changed.notify_all();
}

bool Meetings::is_stuck() const {
  return !left_.empty() && std::ranges::all_of(left_, [this](std::size_t thread) {
    const auto at = waiting_.find(thread);
    return at != waiting_.end() && !at->second.place->missing.empty() && !is_dead(thread);
  });
}

void Meetings::look_whether_stuck() const {
  if (!is_stuck()) return;
  std::string what = "meetings are crossed, and nobody goes on:";
  for (const auto& [thread, waiting] : waiting_) {
    std::string others;
    for (const std::size_t other : waiting.place->missing)
      others += (others.empty() ? "" : " and ") + scenario_.threads[other].name;
    what += fmt::format(" {} waits in line {} at `{}` for {};", scenario_.threads[thread].name,
                        waiting.step->line, waiting.step->texts.front(), others);
  }
  what.pop_back();
  check_failed(what);
}

}  // namespace teeio::explore
