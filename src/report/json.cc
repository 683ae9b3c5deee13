#include "report/json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_map>

namespace teeio::report {
namespace {

using Json = nlohmann::ordered_json;
using object::Event;
using object::Lane;

constexpr int kPid = 1;  ///< the machine is the one process of the trace

/// Processes and threads by number of appearance: the kernel's numbers differ
/// from run to run, and a trace must not.
class Actors {
 public:
  std::size_t number(std::int32_t id) {
    return numbers_.try_emplace(id, numbers_.size() + 1).first->second;
  }

 private:
  std::unordered_map<std::int32_t, std::size_t> numbers_;
};

int track(Lane lane) { return static_cast<int>(lane) + 1; }

Json args_of(const Event& event, Actors& actors) {
  Json args{{"seq", event.seq},
            {"from", object::lane_name(event.from)},
            {"to", object::lane_name(event.to)}};
  if (event.parent != 0) args["parent"] = event.parent;
  if (event.function) args["function"] = event.function->str();
  if (event.vm != 0) args["vm"] = event.vm;
  if (!event.detail.empty()) args["detail"] = event.detail;
  if (event.fact != object::Fact::kNone)
    args["values"] = {fmt::format("{:#x}", event.a), fmt::format("{:#x}", event.b),
                      fmt::format("{:#x}", event.c)};
  if (!event.outcome.empty()) args["outcome"] = event.outcome;
  if (!event.why.empty()) args["why"] = event.why;
  if (event.refused) args["refused"] = true;
  if (event.origin.pid != 0) {
    args["process"] = actors.number(event.origin.pid);
    if (event.origin.tid != 0) args["thread"] = actors.number(event.origin.tid);
    if (event.origin.fd >= 0) args["fd"] = event.origin.fd;
    args["call"] = event.origin.call;
  }
  return args;
}

void append_lanes(Json& out) {
  out.push_back(
      {{"name", "process_name"}, {"ph", "M"}, {"pid", kPid}, {"args", {{"name", "teeio"}}}});
  for (std::size_t i = 0; i < object::kLaneCount; ++i) {
    const auto lane = static_cast<Lane>(i);
    out.push_back({{"name", "thread_name"},
                   {"ph", "M"},
                   {"pid", kPid},
                   {"tid", track(lane)},
                   {"args", {{"name", object::lane_name(lane)}}}});
    out.push_back({{"name", "thread_sort_index"},
                   {"ph", "M"},
                   {"pid", kPid},
                   {"tid", track(lane)},
                   {"args", {{"sort_index", track(lane)}}}});
  }
}

/// The seq of the last event inside of each event, its own if there is none.
std::unordered_map<std::uint64_t, std::uint64_t> ends_of(const std::deque<Event>& events) {
  std::unordered_map<std::uint64_t, std::uint64_t> ends;
  for (auto at = events.rbegin(); at != events.rend(); ++at) {
    const std::uint64_t end = ends.try_emplace(at->seq, at->seq).first->second;
    if (at->parent == 0) continue;
    std::uint64_t& parent = ends.try_emplace(at->parent, end).first->second;
    parent = std::max(parent, end);
  }
  return ends;
}

Json slice(const Event& event, const char* phase) {
  return {{"name", event.name}, {"cat", "teeio"}, {"ph", phase},
          {"ts", event.seq},    {"pid", kPid},    {"tid", track(event.to)}};
}

void append_call(Json& out, const Event& event, std::uint64_t end, Actors& actors) {
  Json call = slice(event, "X");
  call["dur"] = end - event.seq + 1;
  call["args"] = args_of(event, actors);
  out.push_back(std::move(call));
  if (event.from == event.to) return;
  Json start = slice(event, "s"), finish = slice(event, "f");
  start["tid"] = track(event.from);
  start["id"] = finish["id"] = event.seq;
  finish["bp"] = "e";
  out.push_back(std::move(start));
  out.push_back(std::move(finish));
}

void append_state(Json& out, const Event& event, Actors& actors) {
  Json state = slice(event, "i");
  state["s"] = "t";
  state["args"] = args_of(event, actors);
  out.push_back(std::move(state));
}

}  // namespace

std::string chrome_trace(const std::deque<Event>& events) {
  Json list = Json::array();
  append_lanes(list);
  const auto ends = ends_of(events);
  Actors actors;
  for (const Event& event : events)
    if (event.fact == object::Fact::kNone)
      append_call(list, event, ends.at(event.seq), actors);
    else
      append_state(list, event, actors);
  const Json whole{{"displayTimeUnit", "ns"}, {"traceEvents", std::move(list)}};
  return whole.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace teeio::report
