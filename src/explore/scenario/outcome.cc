#include "explore/scenario/outcome.h"

#include "base/hex.h"
#include "machine/answer_watch.h"
#include "machine/machine.h"
#include "schedule/controller.h"
#include "schedule/run_heap.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

/// An explored process has one OS thread a shard.
std::string* g_into = nullptr;

}  // namespace

void watch_outcomes(std::string* into) {
  g_into = into;
  // The sink of a schedule that goes back is not taken apart.
  if (into == nullptr) machine::watch_answers({});
}
std::string* watched_outcome() { return g_into; }

OutcomeSink::OutcomeSink(std::string& into) : into_(into) {
  const schedule::OutsideRunHeap outside;
  machine::watch_answers([this](ByteView bytes) { answered(bytes); });
}

/// Of many a hash: it tells two outcomes apart.
void OutcomeSink::answered(ByteView bytes) {
  if (is_closed_ || schedule::controller() == nullptr) return;
  constexpr std::size_t kShown = 64;
  std::string text = bytes.size() <= kShown ? to_hex(bytes) : std::string();
  if (text.empty()) {
    std::uint64_t hash = bytes.size();
    for (const std::byte byte : bytes)
      hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3ULL;
    text = std::to_string(hash);
  }
  seen_["task " + std::to_string(schedule::current_task())] += "bytes " + text + ", ";
}

void OutcomeSink::note(const object::Event& event, std::string_view what) {
  // The set-up and what follows the end are native.
  if (is_closed_ || schedule::controller() == nullptr) return;
  const std::string task = "task " + std::to_string(event.task);
  const auto add = [&](const std::string& to, std::string_view by) {
    std::string& text = seen_[to];
    text.append(by).append(event.name).append(what).append(", ");
  };
  add(task, "");
  if (event.fact == object::Fact::kNone) return;
  if (event.function) add(event.function->str(), task + ' ');
  if (event.vm != 0) add("VM " + std::to_string(event.vm), task + ' ');
}

void OutcomeSink::on_event(const object::Event& event) { note(event, ""); }

void OutcomeSink::on_outcome(const object::Event& event) {
  note(event, event.refused ? ": " + event.outcome + ' ' + event.why : ": done");
}

void OutcomeSink::close(machine::Machine& machine) {
  is_closed_ = true;
  schedule::Controller* const explored = schedule::controller();
  schedule::set_controller(nullptr);  // nobody is left to race with
  std::string text;
  for (const auto& [who, what] : seen_) text.append(who).append(": ").append(what).append("\n");
  for (const auto& [what, state] : machine.census())
    text.append(what).append(" = ").append(state).append("\n");
  schedule::set_controller(explored);
  const schedule::OutsideRunHeap outside;
  into_ = std::string(text.data(), text.size());
}

}  // namespace teeio::explore
