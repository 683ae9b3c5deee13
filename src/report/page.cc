#include "report/page.h"

#include <nlohmann/json.hpp>

#include "object/event_text.h"
#include "report/chart.h"
#include "report/page_template.h"
#include "report/select.h"

namespace teeio::report {
namespace {

using Json = nlohmann::ordered_json;
using object::Event;

/// Everything about an event that its row does not say: short names, and nothing
/// that is empty, because there may be ten thousands of them.
Json event_json(const Event& event) {
  Json out{{"n", event.seq},
           {"f", static_cast<int>(event.from)},
           {"t", static_cast<int>(event.to)},
           {"name", event.name}};
  if (const std::string subject = object::event_subject(event); !subject.empty())
    out["about"] = subject;
  if (!event.outcome.empty() && event.outcome != "ok") out["out"] = event.outcome;
  if (!event.why.empty()) out["why"] = event.why;
  if (event.parent != 0) out["in"] = event.parent;
  if (event.fact != object::Fact::kNone) out["state"] = 1;
  if (event.refused && !is_expected(event)) out["no"] = 1;
  if (event.refused && is_expected(event)) out["exp"] = 1;
  if (!event.origin.call.empty()) out["call"] = event.origin.call;
  if (event.origin.fd >= 0) out["fd"] = event.origin.fd;
  return out;
}

/// [number, depth, label, lane, lane, kind, events, mark, phase]: kind is 0 for a call, 1 for a
/// state, 2 for a refusal, 3 for an answer that is no failure.
Json step_json(const ChartStep& step) {
  const int kind = step.note ? 1 : step.refused ? 2 : step.expected ? 3 : 0;
  Json last = step.seqs.size() > 1 ? Json(step.seqs) : Json(0);
  return Json::array({step.number, step.depth, step.label, static_cast<int>(step.from),
                      static_cast<int>(step.to), kind, std::move(last), step.mark, step.phase});
}

Json level_json(const Chart& chart) {
  Json steps = Json::array();
  for (const ChartStep& step : chart.steps) steps.push_back(step_json(step));
  return steps;
}

Json broken_json(const std::vector<BrokenRule>& broken) {
  Json out = Json::array();
  for (const BrokenRule& rule : broken)
    out.push_back({{"n", rule.seq},
                   {"rule", rule.rule},
                   {"title", rule.title},
                   {"what", rule.what},
                   {"stack", rule.stack},
                   {"events", rule.events},
                   {"sentence", rule.sentence},
                   {"source", rule.source}});
  return out;
}

/// JSON inside of a script element: nothing in it may end the element.
std::string in_script(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (const char c : text)
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  return out;
}

}  // namespace

std::string html_page(const std::deque<Event>& events, const RunInfo& info) {
  Json lanes = Json::array();
  for (std::size_t i = 0; i < object::kLaneCount; ++i)
    lanes.push_back(object::lane_name(static_cast<object::Lane>(i)));
  Json all = Json::array();
  for (const Event& event : events) all.push_back(event_json(event));
  const Chart life = make_chart(events, info, Level::kLife);
  Json levels{{"life", level_json(life)},
              {"calls", level_json(make_chart(events, info, Level::kCalls))},
              {"all", level_json(make_chart(events, info, Level::kAll))}};
  std::string command;
  for (const std::string& word : info.arguments) command += (command.empty() ? "" : " ") + word;
  const Json data{{"version", info.version},
                  {"machine", info.machine},
                  {"command", command},
                  {"title", life.title},
                  {"closing", info.closing},
                  {"lanes", std::move(lanes)},
                  {"events", std::move(all)},
                  {"levels", std::move(levels)},
                  {"broken", broken_json(info.broken)}};
  std::string page(page_template());
  const std::string_view hole = "/*DATA*/null";
  page.replace(page.find(hole), hole.size(), in_script(data));
  return page;
}

}  // namespace teeio::report
