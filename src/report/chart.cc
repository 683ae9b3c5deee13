#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "report/lanes.h"
#include "report/wrap.h"

namespace teeio::report {
namespace {

constexpr std::size_t kLabelGap = 2;
constexpr std::size_t kMinLabelWidth = 16;
constexpr unsigned kMaxIndent = 8;

constexpr std::string_view kDim = "\033[2m";
constexpr std::string_view kRed = "\033[31m";
constexpr std::string_view kBoldRed = "\033[1;31m";
constexpr std::string_view kGreen = "\033[32m";
constexpr std::string_view kBold = "\033[1m";
constexpr std::string_view kPlain = "\033[0m";

void draw_arrow(std::string& row, std::size_t from, std::size_t to, const ChartStep& step) {
  const bool right = from < to;
  const std::size_t low = std::min(from, to) + 1, high = std::max(from, to);
  for (std::size_t i = low; i < high; ++i) row[i] = step.expected ? '~' : '-';
  if (right)
    row[to - 1] = step.refused ? 'x' : '>';
  else
    row[to + 1] = step.refused ? 'x' : '<';
}

std::string paint(std::string_view colour, const std::string& text, bool on) {
  return on && !colour.empty() && !text.empty() ? fmt::format("{}{}{}", colour, text, kPlain)
                                                : text;
}

std::string draw_row(const ChartStep& step, const LaneColumns& columns) {
  std::string row = columns.lifelines();
  if (step.note)
    row[columns.of(step.from)] = '*';
  else if (step.from == step.to)
    row[columns.of(step.from)] = step.refused ? 'x' : 'o';
  else
    draw_arrow(row, columns.of(step.from), columns.of(step.to), step);
  for (const auto& [from, to] : step.then) draw_arrow(row, columns.of(from), columns.of(to), step);
  const std::string number = fmt::format("{:>{}}. ", step.number, LaneColumns::kNumberWidth - 2);
  // Numbers beyond 9999 take room from the blank in front of the first lane.
  row.replace(0, std::max(LaneColumns::kNumberWidth, number.size()), number);
  return row;
}

LaneColumns::Present lanes_in(const std::vector<ChartStep>& steps) {
  LaneColumns::Present present{};
  for (const ChartStep& step : steps)
    present[static_cast<std::size_t>(step.from)] = present[static_cast<std::size_t>(step.to)] =
        true;
  for (const ChartStep& step : steps)
    for (const auto& [from, to] : step.then)
      present[static_cast<std::size_t>(from)] = present[static_cast<std::size_t>(to)] = true;
  return present;
}

LaneColumns columns_for(const std::vector<ChartStep>& steps, const ChartOptions& options) {
  return options.narrow ? LaneColumns::narrow(lanes_in(steps)) : LaneColumns::wide();
}

std::size_t room_beside(const LaneColumns& columns, const ChartOptions& options) {
  const std::size_t left = columns.width() + kLabelGap;
  return options.width > left + kMinLabelWidth ? options.width - left : kMinLabelWidth;
}

/// Draws one chart.
class Drawing {
 public:
  Drawing(const std::vector<ChartStep>& steps, const ChartOptions& options)
      : options_(options),
        columns_(columns_for(steps, options)),
        room_(room_beside(columns_, options)) {}

  void header() {
    for (const std::string& line : columns_.header()) out_ += line + '\n';
  }
  void title(const std::string& text) {
    if (text.empty()) return;
    for (const std::string& line : wrap(text, options_.width)) out_ += line + '\n';
  }
  /// "== bind ====…", as sequence charts divide themselves.
  void divider(std::string_view text) {
    constexpr std::size_t kSigns = 3;
    for (const std::string& part : wrap(text, options_.width - kSigns)) {
      std::string line = fmt::format("== {} ", part);
      const std::size_t taken = columns_of(line);
      if (taken < options_.width) line.append(options_.width - taken, '=');
      if (taken > options_.width) line.pop_back();
      out_ += paint(kBold, line, options_.colour) + '\n';
    }
  }
  void step(const ChartStep& step);
  std::string take() { return std::move(out_); }

 private:
  void line(const std::string& row, std::string_view colour, const std::string& label,
            const std::string& mark, std::size_t indent, bool refused);

  const ChartOptions options_;
  const LaneColumns columns_;
  const std::size_t room_;
  std::string out_;
};

void Drawing::line(const std::string& row, std::string_view colour, const std::string& label,
                   const std::string& mark, std::size_t indent, bool refused) {
  std::string tail;
  if (!mark.empty()) {
    const std::size_t taken = indent + columns_of(label), needed = columns_of(mark);
    tail.assign(room_ > taken + needed ? room_ - taken - needed : 1, ' ');
  }
  std::string text = std::string(kLabelGap + indent, ' ') + paint(colour, label, options_.colour) +
                     tail + paint(kBoldRed, mark, options_.colour);
  out_ += paint(refused ? kRed : kDim, row, options_.colour) + text + '\n';
}

void Drawing::step(const ChartStep& step) {
  if (!step.like.empty()) return divider(fmt::format("{}: {}", step.phase, step.like));
  if (!step.phase.empty()) divider(step.phase);
  const std::string_view colour = step.refused ? kRed : step.note ? kGreen : std::string_view();
  const std::size_t indent = std::min(step.depth, options_.narrow ? kMaxIndent / 2 : kMaxIndent);
  const std::string mark = step.mark.empty() ? "" : "<== " + step.mark;
  std::vector<std::string> lines = wrap(step.label, room_ - indent);
  // A mark stands beside the first line that leaves room for it.
  std::size_t marked = 0;
  if (!mark.empty()) {
    const auto has_room = [&](const std::string& text) {
      return indent + columns_of(text) + 1 + columns_of(mark) <= room_;
    };
    while (marked < lines.size() && !has_room(lines[marked])) ++marked;
    if (marked == lines.size()) lines.emplace_back();
  }
  std::string row = draw_row(step, columns_);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    line(row, colour, lines[i], i == marked ? mark : "", indent, step.refused);
    row = columns_.lifelines();
  }
}

}  // namespace

std::string draw_chart(const Chart& chart, const ChartOptions& options) {
  Drawing drawing(chart.steps, options);
  drawing.title(chart.title);
  drawing.header();
  for (const ChartStep& step : chart.steps) drawing.step(step);
  if (!chart.closing.empty()) drawing.divider(chart.closing);
  return drawing.take();
}

std::size_t label_room(const Chart& chart, const ChartOptions& options) {
  return room_beside(columns_for(chart.steps, options), options);
}

std::string draw_chart(const std::vector<ChartStep>& steps, const ChartOptions& options) {
  return draw_chart(Chart{.title = {}, .steps = steps, .closing = {}}, options);
}

}  // namespace teeio::report
