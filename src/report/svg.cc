#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "report/wrap.h"

namespace teeio::report {
namespace {

using object::kLaneCount;
using object::Lane;

constexpr int kRow = 20;
constexpr int kPitch = 78;
constexpr int kLeft = 90;     ///< the first lifeline
constexpr int kTop = 64;      ///< the first row
constexpr int kLabels = 440;  ///< columns for labels
constexpr std::size_t kLabelWidth = 64;

constexpr std::string_view kStyle = R"(<style>
svg { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; background: #fff }
text { fill: #1c2530 } .n { fill: #8893a1; text-anchor: end } .h { font-weight: 600; text-anchor: middle }
.l { stroke: #d5dbe3 } .c { stroke: #48617f; stroke-width: 1.4 } .p { fill: #eef2f7 }
.pt { font-weight: 600 } .s { fill: #1c7c4a } text.s { fill: #1c7c4a } .x { stroke: #c02b2b; stroke-width: 1.6 }
text.x { fill: #c02b2b; stroke: none } .r { fill: #c02b2b; font-weight: 700 } .e { stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
svg { background: #12171e } text { fill: #dde4ec } .l { stroke: #2c3643 } .c { stroke: #8fb0d8 }
.p { fill: #1d2632 } .s, text.s { fill: #5fd096 } .x { stroke: #ff7b72 } text.x, .r { fill: #ff7b72 } }
</style>
)";

std::string cut(const std::string& text, std::size_t width) {
  return columns_of(text) <= width ? text : wrap(text, width - 2).front() + " …";
}

class Drawing {
 public:
  explicit Drawing(const Chart& chart) : chart_(chart) {
    std::array<bool, kLaneCount> present{};
    int rows = chart.closing.empty() ? 0 : 1;
    for (const ChartStep& step : chart.steps) {
      present[static_cast<std::size_t>(step.from)] = true;
      present[static_cast<std::size_t>(step.to)] = true;
      rows += step.phase.empty() ? 1 : 2;
    }
    int x = kLeft;
    for (std::size_t i = 0; i < kLaneCount; ++i) {
      if (!present[i]) continue;
      at_[i] = x;
      right_ = x;
      x += kPitch;
    }
    present_ = present;
    width_ = right_ + kLabels + 100;
    height_ = kTop + rows * kRow + kRow;
  }

  std::string run() {
    out_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" "
        "height=\"{}\" role=\"img\">\n{}",
        width_, height_, width_, height_, kStyle);
    out_ += fmt::format("<title>{}</title>\n", xml_text("teeio: " + chart_.title));
    if (!chart_.title.empty()) text(12, 22, "", chart_.title);
    lanes();
    for (const ChartStep& step : chart_.steps) {
      if (!step.phase.empty()) band(step.phase);
      draw(step);
    }
    if (!chart_.closing.empty()) band(chart_.closing);
    return std::move(out_) + "</svg>\n";
  }

 private:
  void text(int x, int y, std::string_view style, std::string_view words) {
    out_ += fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\">{}</text>\n", x, y, style,
                        xml_text(words));
  }
  void line(int x1, int y1, int x2, int y2, std::string_view style) {
    out_ += fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{}\"/>\n", x1, y1,
                        x2, y2, style);
  }
  void lanes() {
    for (std::size_t i = 0; i < kLaneCount; ++i) {
      if (!present_[i]) continue;
      text(at_[i], kTop - 18, "h", object::lane_name(static_cast<Lane>(i)));
      line(at_[i], kTop - 10, at_[i], height_ - kRow, "l");
    }
  }
  void band(std::string_view words) {
    out_ += fmt::format("<rect x=\"0\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"p\"/>\n", y_,
                        width_, kRow);
    text(12, y_ + 14, "pt", words);
    y_ += kRow;
  }
  void arrow(int from, int to, const ChartStep& step) {
    const int y = y_ + kRow / 2, sign = from < to ? 1 : -1, tip = to - sign * 2;
    const std::string style = std::string(step.refused ? "x" : "c") + (step.expected ? " e" : "");
    line(from, y, step.refused ? tip - sign * 10 : tip, y, style);
    if (step.refused) {
      line(tip - sign * 14, y - 4, tip - sign * 6, y + 4, style);
      line(tip - sign * 14, y + 4, tip - sign * 6, y - 4, style);
    } else {
      line(tip - sign * 6, y - 4, tip, y, "c");
      line(tip - sign * 6, y + 4, tip, y, "c");
    }
  }
  void draw(const ChartStep& step);

  const Chart& chart_;
  std::array<bool, kLaneCount> present_{};
  std::array<int, kLaneCount> at_{};
  int right_ = kLeft, width_ = 0, height_ = 0, y_ = kTop;
  std::string out_;
};

void Drawing::draw(const ChartStep& step) {
  const int from = at_[static_cast<std::size_t>(step.from)];
  const int to = at_[static_cast<std::size_t>(step.to)];
  out_ += fmt::format("<g id=\"e{}\"><title>{}</title>\n", step.number, xml_text(step.label));
  text(56, y_ + 14, "n", std::to_string(step.number));
  if (step.note || from == to)
    out_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"4\" class=\"{}\"/>\n", from, y_ + kRow / 2,
                        step.note ? "s" : "c");
  else
    arrow(from, to, step);
  const int indent = static_cast<int>(std::min(step.depth, 4U)) * 10;
  text(right_ + 24 + indent, y_ + 14,
       step.refused ? "x"
       : step.note  ? "s"
                    : "",
       cut(step.label, kLabelWidth - static_cast<std::size_t>(indent) / 8));
  if (!step.mark.empty()) text(width_ - 60, y_ + 14, "r", step.mark);
  out_ += "</g>\n";
  y_ += kRow;
}

}  // namespace

std::string draw_svg(const Chart& chart) { return Drawing(chart).run(); }

}  // namespace teeio::report
