#include "report/shorten.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/wrap.h"

namespace teeio::report {
namespace {

using Steps = std::vector<ChartStep>;
using Section = std::span<const ChartStep>;

std::string without(std::string text, const std::string& part) {
  if (const std::size_t at = text.find(part); at != std::string::npos) text.erase(at, part.size());
  return text;
}

/// The label without the function and the VM that it is about.
std::string bare_label(const ChartStep& step) {
  std::string label = step.label;
  if (step.function) label = without(std::move(label), ' ' + step.function->str());
  if (step.vm != 0) label = without(std::move(label), fmt::format(" VM {}", step.vm));
  return label;
}

/// Where the phase ends that begins at `at`.
std::size_t end_of_phase(const Steps& steps, std::size_t at) {
  const auto next = std::find_if(steps.begin() + static_cast<std::ptrdiff_t>(at) + 1, steps.end(),
                                 [](const ChartStep& step) { return !step.phase.empty(); });
  return static_cast<std::size_t>(next - steps.begin());
}

bool is_plain(const ChartStep& step) { return step.mark.empty() && !step.refused; }

/// What one phase has in place of another's: nothing for the same.
struct Instead {
  std::optional<Bdf> function;
  std::uint32_t vm = 0;
};

/// Notes that `value` stands where `before` stood; false if that is another one's place already,
/// or a second one that differs.
template <class Value>
bool stands_for(std::map<Value, Value>& places, const Value& before, const Value& value) {
  const auto [place, is_new] = places.try_emplace(before, value);
  return place->second == value;
}

template <class Value>
std::optional<std::vector<Value>> changed(const std::map<Value, Value>& places) {
  std::vector<Value> out, all;
  for (const auto& [before, value] : places) {
    all.push_back(value);
    if (before != value) out.push_back(value);
  }
  std::ranges::sort(all);
  const bool twice = std::ranges::adjacent_find(all) != all.end();
  if (twice || out.size() > 1) return std::nullopt;
  return out;
}

/// In what `after` differs from `before`; nothing if in more than one function and one VM.
std::optional<Instead> difference(Section before, Section after) {
  if (before.size() != after.size()) return std::nullopt;
  std::map<std::uint32_t, std::uint32_t> vms;
  std::map<Bdf, Bdf> functions;
  std::optional<Bdf> function;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const ChartStep& a = before[i];
    const ChartStep& b = after[i];
    if (!is_plain(a) || !is_plain(b)) return std::nullopt;
    if (a.from != b.from || a.to != b.to || a.note != b.note || a.expected != b.expected ||
        a.depth != b.depth || a.function.has_value() != b.function.has_value() ||
        bare_label(a) != bare_label(b) || !stands_for(vms, a.vm, b.vm))
      return std::nullopt;
    if (!a.function) continue;
    if (!stands_for(functions, *a.function, *b.function)) return std::nullopt;
    if (*a.function != *b.function) function = b.function;
  }
  const auto other_vms = changed(vms);
  if (!other_vms || !changed(functions)) return std::nullopt;
  return Instead{.function = function, .vm = other_vms->empty() ? 0 : other_vms->front()};
}

std::string range_of(Section phase) {
  const std::uint64_t last =
      phase.back().seqs.empty() ? phase.back().number : phase.back().seqs.back();
  if (last == phase.front().number) return fmt::format("{}", last);
  return fmt::format("{}–{}", phase.front().number, last);
}

std::string like(Section before, Section after, const Instead& instead) {
  std::string text = fmt::format("{} as {}", range_of(after), range_of(before));
  if (instead.function || instead.vm != 0) text += ',';
  if (instead.function) text += ' ' + instead.function->str();
  if (instead.vm != 0) text += fmt::format(" VM {}", instead.vm);
  return text;
}

/// Phases that went as an earlier one of their name, in one step each.
class PhaseFolder {
 public:
  void add(Section phase) {
    std::vector<Section>& models = models_[phase.front().phase];
    if (!phase.front().phase.empty())
      for (const Section model : models)
        if (const auto instead = difference(model, phase)) return fold(model, phase, *instead);
    out_.insert(out_.end(), phase.begin(), phase.end());
    // A program may do a thing ten thousand times, and each time otherwise.
    if (models.size() < kMostModels) models.push_back(phase);
  }
  Steps take() { return std::move(out_); }

 private:
  static constexpr std::size_t kMostModels = 8;

  void fold(Section model, Section phase, const Instead& instead) {
    ChartStep& folded = out_.emplace_back(phase.front());
    folded.like = like(model, phase, instead);
    for (const ChartStep& step : phase.subspan(1))
      folded.seqs.insert(folded.seqs.end(), step.seqs.begin(), step.seqs.end());
  }

  Steps out_;
  std::map<std::string_view, std::vector<Section>> models_;
};

Steps fold_phases(const Steps& steps) {
  PhaseFolder folder;
  for (std::size_t at = 0; at < steps.size();) {
    const std::size_t end = end_of_phase(steps, at);
    folder.add(Section(steps).subspan(at, end - at));
    at = end;
  }
  return folder.take();
}

/// Whether `state` may stand in the row of `row`, in front of which it is the next step.
bool may_join(const ChartStep& row, const ChartStep& state) {
  return is_plain(row) && is_plain(state) && state.note && state.phase.empty() &&
         row.like.empty() && state.like.empty();
}

bool was_brought_about(const ChartStep& call, const ChartStep& state) {
  return !call.note && !call.expected && call.to == state.from && state.depth == call.depth + 1;
}
bool is_next_state(const ChartStep& before, const ChartStep& state) {
  return before.note && before.from == state.from && before.depth == state.depth;
}

/// "before SIGN after", in which the function and the VM stand once.
std::string label_of_both(const ChartStep& before, const ChartStep& after, std::string_view sign) {
  const bool same = before.function == after.function && before.vm == after.vm;
  return fmt::format("{} {} {}", same ? bare_label(before) : before.label, sign, after.label);
}

/// Each state in the row before it where `belongs`, and where that still is one line.
template <class Belongs>
Steps join_states(const Steps& steps, std::size_t room, Belongs belongs) {
  Steps out;
  ChartStep last;  // of the row, as it was by itself
  for (const ChartStep& step : steps) {
    std::string label;
    if (!out.empty() && may_join(out.back(), step) && belongs(last, step))
      label = label_of_both(out.back(), step, "*");
    last = step;
    if (label.empty() || columns_of(label) + out.back().depth > room) {
      out.push_back(step);
      continue;
    }
    out.back().label = std::move(label);
    out.back().seqs.insert(out.back().seqs.end(), step.seqs.begin(), step.seqs.end());
  }
  return out;
}

/// The lanes that an arrow crosses, a bit for each between it and the next one.
unsigned crossed(object::Lane from, object::Lane to) {
  const auto low = static_cast<unsigned>(std::min(from, to));
  const auto high = static_cast<unsigned>(std::max(from, to));
  return (1U << high) - (1U << low);
}
unsigned crossed_by(const ChartStep& row) {
  unsigned lanes = crossed(row.from, row.to);
  for (const auto& [from, to] : row.then) lanes |= crossed(from, to);
  return lanes;
}

bool is_arrow(const ChartStep& step) {
  return is_plain(step) && !step.note && !step.expected && step.from != step.to &&
         step.like.empty();
}

/// Whether no other call stands as deep as the first of `steps` before one that is less deep.
bool is_only_call(Section steps) {
  for (const ChartStep& step : steps.subspan(1)) {
    if (step.depth < steps.front().depth) return true;
    if (step.depth == steps.front().depth && !step.note) return false;
  }
  return true;
}

/// Whether the first of `rest` is all that `row` called, and may be drawn in it.
bool continues(const ChartStep& row, Section rest) {
  const ChartStep& call = rest.front();
  const unsigned depth = row.depth + 1 + static_cast<unsigned>(row.then.size());
  return is_arrow(row) && is_arrow(call) && call.phase.empty() && call.depth == depth &&
         (crossed_by(row) & crossed(call.from, call.to)) == 0 && is_only_call(rest);
}

/// Each call in the row of the one that it is all of, where that still is one line.
Steps join_calls(const Steps& steps, std::size_t room) {
  Steps out;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const ChartStep& step = steps[i];
    std::string label;
    if (!out.empty() && continues(out.back(), Section(steps).subspan(i)))
      label = label_of_both(out.back(), step, ">");
    if (label.empty() || columns_of(label) + out.back().depth > room) {
      out.push_back(step);
      continue;
    }
    ChartStep& row = out.back();
    row.label = std::move(label);
    row.then.emplace_back(step.from, step.to);
    row.seqs.insert(row.seqs.end(), step.seqs.begin(), step.seqs.end());
    row.function = step.function;
    row.vm = step.vm;
  }
  return out;
}

}  // namespace

Chart shorten(Chart chart, const ChartOptions& options, std::size_t lines) {
  const auto is_long = [&] {
    const std::string text = draw_chart(chart, options);
    return static_cast<std::size_t>(std::ranges::count(text, '\n')) > lines;
  };
  const std::size_t room = label_room(chart, options);
  if (is_long()) chart.steps = fold_phases(chart.steps);
  if (is_long()) chart.steps = join_states(chart.steps, room, was_brought_about);
  if (is_long()) chart.steps = join_states(chart.steps, room, is_next_state);
  if (is_long()) chart.steps = join_calls(chart.steps, room);
  return chart;
}

}  // namespace teeio::report
