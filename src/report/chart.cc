#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "object/event_text.h"
#include "report/fold.h"

namespace teeio::report {
namespace {

using object::Event;
using object::kLaneCount;
using object::Lane;

constexpr std::size_t kNumberWidth = 6;  // "1234. "
constexpr std::size_t kNameGap = 2;
constexpr std::size_t kLabelGap = 2;
constexpr std::size_t kMinLabelWidth = 24;
constexpr unsigned kMaxIndent = 8;

constexpr std::string_view kDim = "\033[2m";
constexpr std::string_view kRed = "\033[31m";
constexpr std::string_view kGreen = "\033[32m";
constexpr std::string_view kPlain = "\033[0m";

/// Where lanes stand: each name is followed by two blanks, each lifeline is
/// below the middle of its name.
struct Columns {
  std::array<std::size_t, kLaneCount> at{};
  std::string header;

  Columns() : header(kNumberWidth, ' ') {
    for (std::size_t i = 0; i < kLaneCount; ++i) {
      const std::string_view name = object::lane_name(static_cast<Lane>(i));
      at[i] = header.size() + (name.size() - 1) / 2;
      header.append(name).append(kNameGap, ' ');
    }
    header.resize(header.size() - kNameGap);
  }
  [[nodiscard]] std::size_t of(Lane lane) const { return at[static_cast<std::size_t>(lane)]; }
  [[nodiscard]] std::string lifelines() const {
    std::string row(header.size(), ' ');
    for (const std::size_t column : at) row[column] = '|';
    return row;
  }
};

void draw_arrow(std::string& row, std::size_t from, std::size_t to, bool refused) {
  const bool right = from < to;
  const std::size_t low = std::min(from, to) + 1, high = std::max(from, to);
  for (std::size_t i = low; i < high; ++i) row[i] = '-';
  if (right)
    row[to - 1] = refused ? 'x' : '>';
  else
    row[to + 1] = refused ? 'x' : '<';
}

/// Columns that UTF-8 text takes: ours has no wide characters.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

/// Breaks at blanks; a word longer than a line keeps its line to itself.
std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines{""};
  while (!text.empty()) {
    const std::size_t blank = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, blank);
    text.remove_prefix(std::min(blank + 1, text.size()));
    const bool fits = columns_of(lines.back()) + 1 + columns_of(word) <= width;
    if (!lines.back().empty() && !fits) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

std::string label_of(const Fold& fold) {
  const Event& first = *fold.events.front();
  const bool alike = std::all_of(fold.events.begin(), fold.events.end(), [&](const Event* e) {
    return object::event_subject(*e) == object::event_subject(first);
  });
  std::string label(first.name);
  std::string subject = object::event_subject(first);
  if (!alike) {
    subject = first.function ? first.function->str() : "";
    if (first.vm != 0) subject += fmt::format("{}VM {}", subject.empty() ? "" : " ", first.vm);
  }
  if (!subject.empty()) label += ' ' + subject;
  if (!first.outcome.empty() && first.outcome != "ok") label += " = " + first.outcome;
  if (first.refused && !first.why.empty()) label += fmt::format(": {}", first.why);
  if (fold.events.size() > 1)
    label += fmt::format(" ×{} ({}–{})", fold.events.size(), first.seq, fold.events.back()->seq);
  return label;
}

std::string paint(std::string_view colour, const std::string& text, bool on) {
  return on && !colour.empty() ? fmt::format("{}{}{}", colour, text, kPlain) : text;
}

std::string draw_row(const ChartStep& step, const Columns& columns) {
  std::string row = columns.lifelines();
  if (step.note)
    row[columns.of(step.from)] = '*';
  else if (step.from == step.to)
    row[columns.of(step.from)] = step.refused ? 'x' : 'o';
  else
    draw_arrow(row, columns.of(step.from), columns.of(step.to), step.refused);
  const std::string number = fmt::format("{:>{}}. ", step.number, kNumberWidth - 2);
  // Numbers beyond 9999 take room from the blank in front of the first lane.
  row.replace(0, std::max(kNumberWidth, number.size()), number);
  return row;
}

}  // namespace

std::vector<ChartStep> chart_steps(const std::deque<Event>& events) {
  std::vector<ChartStep> steps;
  for (const Fold& fold : report::fold(events)) {
    const Event& first = *fold.events.front();
    ChartStep& step = steps.emplace_back();
    step.number = first.seq;
    for (const Event* event : fold.events) step.seqs.push_back(event->seq);
    step.from = first.from;
    step.to = first.to;
    step.note = first.fact != object::Fact::kNone;
    step.refused = first.refused;
    step.depth = fold.depth;
    step.label = label_of(fold);
  }
  return steps;
}

std::string draw_chart(const std::vector<ChartStep>& steps, const ChartOptions& options) {
  const Columns columns;
  const std::size_t left = columns.header.size() + kLabelGap;
  const std::size_t room =
      options.width > left + kMinLabelWidth ? options.width - left : kMinLabelWidth;
  std::string out = columns.header + '\n';
  for (const ChartStep& step : steps) {
    const std::string_view colour = step.refused ? kRed : step.note ? kGreen : std::string_view();
    const std::size_t indent = std::min(step.depth, kMaxIndent);
    std::string row = draw_row(step, columns);
    for (const std::string& line : wrap(step.label, room - indent)) {
      out += paint(step.refused ? kRed : kDim, row, options.colour);
      out += std::string(kLabelGap + indent, ' ') + paint(colour, line, options.colour) + '\n';
      row = columns.lifelines();
    }
  }
  return out;
}

}  // namespace teeio::report
