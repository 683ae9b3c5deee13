#include "cli/pictures.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "cli/print.h"
#include "report/chart.h"
#include "report/json.h"
#include "report/mermaid.h"
#include "report/page.h"
#include "report/shorten.h"
#include "report/summary.h"
#include "report/svg.h"

namespace teeio::cli {
namespace {

using object::Event;

constexpr std::uint32_t kMailWidth = 72;    ///< what a mail to a kernel list may have
constexpr std::size_t kMailLines = 60;      ///< and what a reader has patience for
constexpr std::uint32_t kWholeWidth = 120;  ///< all lanes and their labels
constexpr std::array<std::string_view, 4> kEndings = {".txt", ".html", ".svg", ".mmd"};

std::optional<report::Level> level_of(std::string_view word) {
  if (word == "life") return report::Level::kLife;
  if (word == "calls") return report::Level::kCalls;
  if (word == "all") return report::Level::kAll;
  return std::nullopt;
}

/// All of `text` as a number.
std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Which rule "R4" names; "" if none.
std::string rule_of(std::string_view word) {
  if (!word.starts_with('R') && !word.starts_with('r')) return {};
  const auto number = number_of(word.substr(1));
  return number && *number >= 1 && *number <= 10 ? fmt::format("R{}", *number) : std::string();
}

std::vector<std::uint64_t> events_of(const std::string& word,
                                     const std::vector<report::BrokenRule>& broken) {
  if (const auto number = number_of(word)) return {*number};
  std::vector<std::uint64_t> seqs;
  for (const report::BrokenRule& rule : broken)
    if (rule.rule == rule_of(word) && rule.seq != 0) seqs.push_back(rule.seq);
  return seqs;
}

/// What --chart asks for, as text for the open file `words`; for a file of its own, -1.
std::string text_chart(const PictureArguments& arguments, const std::deque<Event>& events,
                       const report::RunInfo& info, int words) {
  const std::string& word = arguments.chart.empty() ? "life" : arguments.chart;
  report::ChartOptions options{.colour = may_colour(words), .width = kMailWidth, .narrow = true};
  if (word == "all") {
    options.narrow = false;
    options.width = kWholeWidth;
    winsize size{};
    if (::ioctl(words, TIOCGWINSZ, &size) == 0)
      options.width = std::max<std::size_t>(size.ws_col, kWholeWidth);
  }
  if (arguments.width != 0) {
    options.width = arguments.width;
    options.narrow = options.narrow || arguments.width < kWholeWidth;
  }
  if (const auto level = level_of(word)) {
    report::Chart chart = report::make_chart(events, info, *level);
    if (*level == report::Level::kLife)
      chart = report::shorten(std::move(chart), options, kMailLines);
    std::string out = report::draw_chart(chart, options);
    if (*level == report::Level::kAll)
      out += report::summary_text(report::summarize(events), options.width);
    return out;
  }
  const report::Chart chart = report::make_chart_around(events, info, events_of(word, info.broken));
  if (!chart.steps.empty()) return report::draw_chart(chart, options);
  if (!number_of(word)) return fmt::format("teeio: {} was not broken\n", rule_of(word));
  if (events.empty()) return fmt::format("teeio: there is no event {}: nothing happened\n", word);
  return fmt::format("teeio: there is no event {}: they are {} to {}\n", word, events.front().seq,
                     events.back().seq);
}

std::string ending_of(const std::string& name) {
  const auto* const ending =
      std::ranges::find_if(kEndings, [&](std::string_view known) { return name.ends_with(known); });
  return ending == kEndings.end() ? std::string() : std::string(*ending);
}

}  // namespace

std::string check_pictures(const PictureArguments& arguments) {
  const std::string& word = arguments.chart;
  if (!word.empty() && !level_of(word) && !number_of(word) && rule_of(word).empty())
    return fmt::format(
        "there is no chart '{}': it is life, calls, all, the number of an event (772) or a rule "
        "(R4)",
        word);
  for (const std::string& name : arguments.files)
    if (ending_of(name).empty())
      return fmt::format("{}: a chart's file ends in {}", name, fmt::join(kEndings, ", "));
  return {};
}

bool draws_text(const PictureArguments& arguments) {
  return !arguments.chart.empty() ||
         std::ranges::any_of(arguments.files,
                             [](const std::string& name) { return ending_of(name) == ".txt"; });
}

std::vector<report::BrokenRule> to_pictures(const std::vector<rules::Violation>& violations) {
  const auto lines = [](const std::vector<rules::Evidence>& evidence) {
    std::vector<std::string> out;
    for (const rules::Evidence& line : evidence)
      out.push_back(line.seq == 0 ? line.text : fmt::format("[{}] {}", line.seq, line.text));
    return out;
  };
  std::vector<report::BrokenRule> out;
  for (const rules::Violation& violation : violations) {
    const rules::RuleText& text = rules::rule_text(violation.rule);
    report::BrokenRule& rule = out.emplace_back();
    rule.seq = violation.events.empty() ? 0 : violation.events.back().seq;
    rule.rule = fmt::format("R{}", static_cast<unsigned>(violation.rule));
    rule.title = text.title;
    rule.what = violation.what;
    rule.stack = lines(violation.stack);
    rule.events = lines(violation.events);
    for (const rules::Evidence& line : violation.events)
      if (line.seq != 0) rule.witness.push_back(line.seq);
    rule.sentence = text.sentence;
    rule.source = text.source;
  }
  return out;
}

std::string chart_hint(const PictureArguments& arguments,
                       const std::vector<report::BrokenRule>& broken) {
  const auto first = std::find_if(broken.begin(), broken.end(),
                                  [](const report::BrokenRule& rule) { return rule.seq != 0; });
  if (first == broken.end() || !arguments.chart.empty()) return {};
  return fmt::format("teeio: --chart={} draws what is around event {}, --chart={} around each {}\n",
                     first->seq, first->seq, first->rule, first->rule);
}

std::optional<Pictures> Pictures::open(const PictureArguments& arguments) {
  Pictures pictures(arguments);
  if (!arguments.trace.empty() && !pictures.add(arguments.trace, true)) return std::nullopt;
  for (const std::string& name : arguments.files)
    if (!pictures.add(name, false)) return std::nullopt;
  return pictures;
}

bool Pictures::add(const std::string& name, bool trace) {
  auto file = OutputFile::open(name);
  if (!file) {
    (void)complain_text(fmt::format("teeio: {}\n", file.error()));
    return false;
  }
  files_.push_back({.name = name, .trace = trace, .file = std::move(*file)});
  return true;
}

std::string Pictures::picture(const Target& target, const std::deque<Event>& events,
                              const report::RunInfo& info) const {
  if (target.trace) return report::chrome_trace(events, info);
  const std::string ending = ending_of(target.name);
  if (ending == ".html") return report::html_page(events, info);
  if (ending == ".txt") return text_chart(arguments_, events, info, -1);
  const report::Chart life = report::make_chart(events, info, report::Level::kLife);
  return ending == ".svg" ? report::draw_svg(life) : report::draw_mermaid(life);
}

bool Pictures::draw(const std::deque<Event>& events, const report::RunInfo& info, int words) {
  bool whole = true;
  if (!arguments_.chart.empty())
    whole = write_text(words, text_chart(arguments_, events, info, words));
  for (Target& target : files_) {
    const auto written = target.file.write(picture(target, events, info));
    if (written) continue;
    (void)write_text(words, fmt::format("teeio: {}\n", written.error()));
    whole = false;
  }
  return whole;
}

}  // namespace teeio::cli
