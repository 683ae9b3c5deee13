#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "object/event_text.h"
#include "report/chart.h"
#include "report/fold.h"
#include "report/phases.h"
#include "report/select.h"
#include "report/wrap.h"

namespace teeio::report {
namespace {

using object::Event;
using object::Fact;

/// What a label leaves out: the function and the VM that the chart's title names,
/// and arguments that only matter to who follows single messages.
struct Known {
  std::optional<Bdf> function;
  std::uint32_t vm = 0;
  bool brief = false;
};

/// "idevice" is the name of two states.
std::string_view end_word(Fact fact) {
  const bool gone = fact == Fact::kIdeviceDestroyed || fact == Fact::kVdeviceDestroyed ||
                    fact == Fact::kViommuDestroyed;
  return gone ? " is gone" : "";
}

/// Of a path its last two names; of arguments those that a reader of a life needs.
std::string brief_detail(const Event& event) {
  static constexpr std::array<std::string_view, 5> kKept = {"gpa", "iova", "t", "from", "bar"};
  const std::string& detail = event.detail;
  if (detail.starts_with('/')) {
    const std::size_t slash = detail.rfind('/', detail.rfind('/') - 1);
    return slash == std::string::npos ? detail : detail.substr(slash + 1);
  }
  std::string out;
  for (std::size_t at = 0; at < detail.size();) {
    const std::size_t end = std::min(detail.find(' ', at), detail.size());
    const std::string_view word = std::string_view(detail).substr(at, end - at);
    at = end + 1;
    const std::size_t equals = word.find('=');
    const bool keep = equals == std::string_view::npos ||
                      std::find(kKept.begin(), kKept.end(), word.substr(0, equals)) != kKept.end();
    if (keep) out.append(out.empty() ? "" : " ").append(word);
  }
  return out;
}

std::string subject_of(const Event& event, const Known& known) {
  Event shown = event;
  if (shown.function == known.function) shown.function.reset();
  if (shown.vm == known.vm) shown.vm = 0;
  if (!known.brief) return object::event_subject(shown);
  shown.detail = brief_detail(event);
  if (shown.fact != Fact::kHostMapped && shown.fact != Fact::kHostMapRevoked &&
      shown.fact != Fact::kMmioMapped && shown.fact != Fact::kMmioUnmapped)
    shown.fact = Fact::kNone;  // no numbers
  std::string subject = object::event_subject(shown);
  if (const std::size_t hpa = subject.find(" hpa="); hpa != std::string::npos) subject.resize(hpa);
  return subject;
}

std::string label_of(const Fold& fold, const Known& known) {
  const Event& first = *fold.events.front();
  const bool alike = std::all_of(fold.events.begin(), fold.events.end(), [&](const Event* e) {
    return object::event_subject(*e) == object::event_subject(first);
  });
  std::string label(first.name);
  label += end_word(first.fact);
  std::string subject = subject_of(first, known);
  if (!alike) {
    subject = first.function && first.function != known.function ? first.function->str() : "";
    if (first.vm != 0 && first.vm != known.vm)
      subject += fmt::format("{}VM {}", subject.empty() ? "" : " ", first.vm);
  }
  if (!subject.empty()) label += ' ' + subject;
  if (!first.outcome.empty() && first.outcome != "ok") label += " = " + first.outcome;
  if (first.refused && !first.why.empty()) label += fmt::format(": {}", first.why);
  if (fold.events.size() > 1) {
    label += fmt::format(" ×{}", fold.events.size());
    if (!known.brief) label += fmt::format(" ({}–{})", first.seq, fold.events.back()->seq);
  }
  return label;
}

std::vector<ChartStep> steps_of(const std::deque<Event>& events, const Known& known) {
  std::vector<ChartStep> steps;
  for (const Fold& fold : report::fold(events)) {
    const Event& first = *fold.events.front();
    ChartStep& step = steps.emplace_back();
    step.number = first.seq;
    for (const Event* event : fold.events) step.seqs.push_back(event->seq);
    step.from = first.from;
    step.to = first.to;
    step.note = first.fact != Fact::kNone;
    step.expected = is_expected(first);
    step.refused = first.refused && !step.expected;
    step.depth = fold.depth;
    step.function = first.function;
    step.vm = first.vm;
    step.label = printable(label_of(fold, known));
  }
  return steps;
}

/// The function and the VM that a run is about, where there is but one: the bound
/// function, or the one that most events name if none was bound.
Known subject_of(const std::deque<Event>& events) {
  std::map<Bdf, std::size_t> named;
  std::set<Bdf> bound;
  std::set<std::uint32_t> vms;
  for (const Event& event : events) {
    if (event.function) ++named[*event.function];
    if (event.function && event.fact == Fact::kBound) bound.insert(*event.function);
    if (event.vm != 0) vms.insert(event.vm);
  }
  Known known;
  if (bound.size() == 1) known.function = *bound.begin();
  if (bound.empty() && !named.empty())
    known.function = std::max_element(named.begin(), named.end(), [](const auto& x, const auto& y) {
                       return x.second < y.second;
                     })->first;
  if (vms.size() == 1) known.vm = *vms.begin();
  return known;
}

std::string title_of(const Known& known) {
  std::string title;
  if (known.function) title = known.function->str();
  if (known.vm != 0) title += fmt::format("{}VM {}", title.empty() ? "" : " and ", known.vm);
  return title.empty() ? title : fmt::format("{}: rows that name no other are theirs", title);
}

void add_marks(std::vector<ChartStep>& steps, const std::vector<BrokenRule>& broken) {
  for (ChartStep& step : steps)
    for (const std::uint64_t seq : step.seqs)
      if (const std::string rules = broken_at(broken, seq);
          !rules.empty() && step.mark.find(rules) == std::string::npos)
        step.mark += (step.mark.empty() ? "" : ", ") + rules;
}

void add_phases(std::vector<ChartStep>& steps, const std::vector<Phase>& phases) {
  auto phase = phases.begin();
  for (ChartStep& step : steps)
    for (; phase != phases.end() && phase->seq <= step.number; ++phase) step.phase = phase->title;
}

/// What every level shows: the events that broke a rule, and those that led there
/// if they were refusals (the rest of them are states, which are shown anyway).
std::set<std::uint64_t> pinned_by(const std::vector<BrokenRule>& broken) {
  std::set<std::uint64_t> pinned;
  for (const BrokenRule& rule : broken)
    if (rule.seq != 0) pinned.insert(rule.seq);
  return pinned;
}

}  // namespace

std::string broken_at(const std::vector<BrokenRule>& broken, std::uint64_t seq) {
  std::set<std::string> rules;
  for (const BrokenRule& rule : broken)
    if (rule.seq == seq) rules.insert(rule.rule);
  std::string out;
  for (const std::string& rule : rules) out += (out.empty() ? "" : ", ") + rule;
  return out;
}

std::vector<ChartStep> chart_steps(const std::deque<Event>& events) {
  return steps_of(events, Known{});
}

Chart make_chart(const std::deque<Event>& events, const RunInfo& info, Level level) {
  Chart chart;
  if (level == Level::kAll) {
    chart.steps = chart_steps(events);
  } else {
    const std::deque<Event> shown = select(events, level, pinned_by(info.broken));
    Known known = subject_of(events);
    known.brief = level == Level::kLife;
    chart.title = title_of(known);
    chart.steps = steps_of(shown, known);
    add_phases(chart.steps, find_phases(events));
    chart.closing = info.closing;
  }
  add_marks(chart.steps, info.broken);
  return chart;
}

Chart make_chart_around(const std::deque<Event>& events, const RunInfo& info,
                        const std::vector<std::uint64_t>& seqs) {
  constexpr std::size_t kBefore = 5, kAfter = 4;
  Known known = subject_of(events);
  Chart chart{.title = title_of(known), .steps = steps_of(events, known), .closing = {}};
  std::vector<bool> shown(chart.steps.size());
  for (std::size_t i = 0; i < chart.steps.size(); ++i) {
    const auto& own = chart.steps[i].seqs;
    const bool wanted = std::any_of(seqs.begin(), seqs.end(), [&](std::uint64_t seq) {
      return std::binary_search(own.begin(), own.end(), seq);
    });
    if (!wanted) continue;
    for (std::size_t n = i - std::min(i, kBefore); n < shown.size() && n <= i + kAfter; ++n)
      shown[n] = true;
  }
  std::vector<ChartStep> kept;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (!shown[i]) continue;
    if (!kept.empty() && !shown[i - 1]) chart.steps[i].phase = "…";
    kept.push_back(std::move(chart.steps[i]));
  }
  chart.steps = std::move(kept);
  add_marks(chart.steps, info.broken);
  return chart;
}

}  // namespace teeio::report
