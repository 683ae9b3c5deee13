#include "explore/scenario/coverage.h"

#include <algorithm>

#include "entry/support.h"
#include "entry/system_calls.h"
#include "explore/scenario/choices.h"
#include "machine/machine.h"
#include "schedule/choice_watch.h"
#include "schedule/controller.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using object::Event;
using object::Lane;

/// An explored process has one OS thread a shard.
Coverage* g_coverage = nullptr;

CoveredKind covered_kind_of(const Event& event) {
  if (event.to == Lane::kFirmware) return CoveredKind::kFirmware;
  if (event.to == Lane::kDevice) return CoveredKind::kDevice;
  // Dispatch::ioctl() says its row's name as who called.
  if (event.from == Lane::kVmm && event.origin.call == event.name) return CoveredKind::kIoctl;
  return event.name == "sysfs write" ? CoveredKind::kAttribute : CoveredKind::kHost;
}

std::string covered_name_of(const Event& event, CoveredKind kind) {
  return kind == CoveredKind::kAttribute ? attribute_name(event.detail) : std::string(event.name);
}

}  // namespace

void watch_coverage(Coverage* into) {
  g_coverage = into;
  // The sink of a schedule that goes back is not taken apart, and is still told of choices.
  if (into == nullptr) schedule::watch_choices({});
}
Coverage* watched_coverage() { return g_coverage; }

CoverageSink::CoverageSink(Coverage& into) : into_(into) {
  schedule::watch_choices(
      [this](std::string_view what, std::uint32_t chosen) { on_choice(what, chosen); });
}

CoverageSink::~CoverageSink() { schedule::watch_choices({}); }

CoverageSink::Task& CoverageSink::task(std::uint32_t number) {
  if (tasks_.size() <= number) tasks_.resize(number + 1);
  return tasks_[number];
}

bool CoverageSink::others_are_in_calls(std::uint32_t number) const {
  for (std::size_t i = 0; i < tasks_.size(); ++i)
    if (i != number && !tasks_[i].calls.empty()) return true;
  return false;
}

/// Something begins: all that is under way elsewhere is together with it.
void CoverageSink::note(std::uint32_t number, CoveredKind kind, std::string_view name) {
  const bool together = others_are_in_calls(number);
  into_.reach(kind, name, together ? Reach::kTogether : Reach::kAlone);
  if (!together) return;
  for (std::size_t i = 0; i < tasks_.size(); ++i)
    if (i != number)
      for (const Open& open : tasks_[i].calls) into_.reach(open.kind, open.name, Reach::kTogether);
}

void CoverageSink::on_event(const Event& event) {
  // A state that was reached is no call; the set-up and what follows the end are native.
  if (event.fact != object::Fact::kNone || is_over_ || schedule::controller() == nullptr) return;
  const CoveredKind kind = covered_kind_of(event);
  std::string name = covered_name_of(event, kind);
  note(event.task, kind, name);
  Task& by = task(event.task);
  if (by.has_failed && (kind == CoveredKind::kFirmware || kind == CoveredKind::kDevice))
    note(event.task, CoveredKind::kUndo, name);
  by.calls.push_back({event.seq, kind, std::move(name)});
}

void CoverageSink::on_outcome(const Event& event) {
  if (event.task >= tasks_.size()) return;
  Task& by = tasks_[event.task];
  std::erase_if(by.calls, [&](const Open& open) { return open.seq == event.seq; });
  if (by.calls.empty()) by.has_failed = false;
}

void CoverageSink::on_choice(std::string_view what, std::uint32_t chosen) {
  if (is_over_ || what == kKillChoice || what == kMeddlingChoice) return;
  if (chosen == 0) return into_.reach(CoveredKind::kFailure, what, Reach::kNever);
  const std::uint32_t number = schedule::current_task();
  note(number, CoveredKind::kFailure, what);
  if (!task(number).calls.empty()) task(number).has_failed = true;
}

std::string attribute_name(std::string_view path) {
  std::size_t from = std::min(path.find_first_not_of('/', path.find("/sys/") + 4), path.size());
  for (std::size_t at = path.find(':'); at != std::string_view::npos; at = path.find(':', at + 1)) {
    const std::size_t end = path.find('/', at);
    if (end != std::string_view::npos) from = end + 1;
  }
  return std::string(path.substr(from));
}

std::vector<Covered> what_can_be_reached(std::span<const machine::Config> designs) {
  Coverage known;
  const auto expect = [&](CoveredKind kind, std::string_view name) {
    known.reach(kind, name, Reach::kNever);
  };
  for (const machine::Config& design : designs) {
    for (const entry::SupportRow& row : entry::support_table(design.profile))
      if (row.support != entry::Support::kRefused) expect(CoveredKind::kIoctl, row.name);
    // Of a size whose RAM nobody keeps for the next machine: explorations fork, and RAM stays.
    constexpr std::uint64_t kMemoryBytes = std::uint64_t{32} << 20U;
    machine::Config small = design;
    small.memory_bytes = kMemoryBytes;
    const auto made = machine::Machine::create(small);
    if (!made) continue;
    machine::Machine& machine = **made;
    for (const std::string_view name : machine.fault_names(schedule::FaultPlace::kFirmware))
      expect(CoveredKind::kFirmware, name);
    for (const std::string_view name : machine.fault_names(schedule::FaultPlace::kDevice))
      expect(CoveredKind::kDevice, name);
    constexpr std::uint32_t kWritable = 0222;
    for (const auto& node : machine.system_calls().tree())
      if (node.type == entry::SystemCalls::Node::Type::kAttribute &&
          (node.stat.mode & kWritable) != 0)
        expect(CoveredKind::kAttribute, attribute_name(node.path));
  }
  return known.rows();
}

}  // namespace teeio::explore
