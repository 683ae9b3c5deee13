#include "report/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "report/select.h"

namespace teeio::report {
namespace {

using Json = nlohmann::ordered_json;
using object::Event;
using object::Lane;

constexpr std::size_t kMaxRows = 1000;  ///< tracks of a lane, in the order of tracks
constexpr int kPid = 1;                 ///< the machine is the one process of the trace

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

/// Where slices go. Those of one track must lie inside of each other or apart;
/// what overlaps, because several threads called at once, goes to another track
/// of the lane.
class Tracks {
 public:
  /// The track for a slice of `lane` from `begin` to before `end`. Slices come in
  /// the order in which they begin.
  int place(Lane lane, std::uint64_t begin, std::uint64_t end) {
    auto& rows = open_[static_cast<std::size_t>(lane)];
    for (std::size_t row = 0;; ++row) {
      if (row == rows.size()) rows.emplace_back();
      auto& ends = rows[row];
      while (!ends.empty() && ends.back() <= begin) ends.pop_back();
      if (!ends.empty() && end > ends.back()) continue;
      ends.push_back(end);
      return number(lane, row);
    }
  }
  static int number(Lane lane, std::size_t row) {
    return static_cast<int>(lane) + 1 + static_cast<int>(row * object::kLaneCount);
  }
  [[nodiscard]] std::size_t rows(Lane lane) const {
    return std::max<std::size_t>(open_[static_cast<std::size_t>(lane)].size(), 1);
  }

 private:
  std::array<std::vector<std::vector<std::uint64_t>>, object::kLaneCount> open_;
};

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
  if (event.refused) args[is_expected(event) ? "expected" : "refused"] = true;
  if (event.origin.pid != 0) {
    args["process"] = actors.number(event.origin.pid);
    if (event.origin.tid != 0) args["thread"] = actors.number(event.origin.tid);
    if (event.origin.fd >= 0) args["fd"] = event.origin.fd;
    args["call"] = event.origin.call;
  }
  return args;
}

Json metadata(const char* name, int track, Json args) {
  Json out{{"name", name}, {"ph", "M"}, {"pid", kPid}};
  if (track != 0) out["tid"] = track;
  out["args"] = std::move(args);
  return out;
}

void append_lanes(Json& out, const Tracks& tracks) {
  out.push_back(metadata("process_name", 0, {{"name", "teeio"}}));
  for (std::size_t i = 0; i < object::kLaneCount; ++i) {
    const auto lane = static_cast<Lane>(i);
    for (std::size_t row = 0; row < tracks.rows(lane); ++row) {
      std::string name(object::lane_name(lane));
      if (row != 0) name += fmt::format(" ({})", row + 1);
      const int track = Tracks::number(lane, row);
      out.push_back(metadata("thread_name", track, {{"name", name}}));
      out.push_back(metadata("thread_sort_index", track, {{"sort_index", i * kMaxRows + row}}));
    }
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

/// What a viewer filters by.
std::string_view category(const Event& event) {
  if (event.fact != object::Fact::kNone) return "state";
  if (event.to == Lane::kFirmware) return "firmware";
  if (event.to == Lane::kDevice) return "device";
  if (event.from == Lane::kGuest || event.from == Lane::kGuestTsm) return "guest";
  return event.from == Lane::kVmm ? "program" : "host";
}

/// The events of a trace, in the order in which they happened.
class Writer {
 public:
  Writer(const std::deque<Event>& events, const std::vector<BrokenRule>& broken)
      : ends_(ends_of(events)), broken_(broken) {
    for (const Event& event : events) {
      if (event.fact == object::Fact::kNone)
        append_call(event);
      else
        append_state(event);
      append_broken(event.seq, Tracks::number(event.to, 0));
    }
    if (!events.empty()) append_broken(0, 0, events.back().seq + 1);
  }
  Json take() {
    Json out = Json::array();
    append_lanes(out, tracks_);
    for (Json& event : list_) out.push_back(std::move(event));
    return out;
  }

 private:
  static Json item(const Event& event, const char* phase, int track) {
    return {{"name", event.name}, {"cat", category(event)},
            {"ph", phase},        {"ts", event.seq},
            {"pid", kPid},        {"tid", track}};
  }
  void append_slice(const Event& event, int track) {
    Json call = item(event, "X", track);
    call["dur"] = ends_.at(event.seq) - event.seq + 1;
    if (event.refused && !is_expected(event)) call["cname"] = "terrible";
    call["args"] = args_of(event, actors_);
    list_.push_back(std::move(call));
  }
  void append_call(const Event& event);
  void append_state(const Event& event) {
    Json state = item(event, "i", Tracks::number(event.to, 0));
    state["s"] = "t";
    state["args"] = args_of(event, actors_);
    list_.push_back(std::move(state));
  }
  void append_broken(std::uint64_t seq, int track, std::uint64_t at = 0);

  const std::unordered_map<std::uint64_t, std::uint64_t> ends_;
  const std::vector<BrokenRule>& broken_;
  Tracks tracks_;
  /// The lane and the track of each call's slice.
  std::unordered_map<std::uint64_t, std::pair<Lane, int>> placed_;
  Actors actors_;
  std::vector<Json> list_;
};

void Writer::append_call(const Event& event) {
  const std::uint64_t end = ends_.at(event.seq) + 1;
  int caller = 0;
  if (event.from != event.to) {
    const auto around = placed_.find(event.parent);
    if (around != placed_.end() && around->second.first == event.from) {
      caller = around->second.second;
    } else {
      caller = tracks_.place(event.from, event.seq, end);
      append_slice(event, caller);
    }
  }
  const int track = tracks_.place(event.to, event.seq, end);
  placed_.emplace(event.seq, std::pair(event.to, track));
  append_slice(event, track);
  if (event.from == event.to) return;
  Json start = item(event, "s", caller), finish = item(event, "f", track);
  start["id"] = finish["id"] = event.seq;
  finish["bp"] = "e";
  list_.push_back(std::move(start));
  list_.push_back(std::move(finish));
}

void Writer::append_broken(std::uint64_t seq, int track, std::uint64_t at) {
  for (const BrokenRule& rule : broken_) {
    if (rule.seq != seq) continue;
    Json mark{{"name", fmt::format("{} {}", rule.rule, rule.title)},
              {"cat", "rule"},
              {"ph", "i"},
              {"ts", seq == 0 ? at : seq},
              {"pid", kPid}};
    if (track != 0) mark["tid"] = track;
    mark["s"] = track == 0 ? "g" : "p";
    mark["cname"] = "terrible";
    mark["args"] = {{"rule", rule.rule},    {"what", rule.what},         {"in", rule.stack},
                    {"after", rule.events}, {"sentence", rule.sentence}, {"source", rule.source}};
    list_.push_back(std::move(mark));
  }
}

}  // namespace

std::string chrome_trace(const std::deque<Event>& events, const RunInfo& info) {
  std::string command;
  for (const std::string& word : info.arguments) command += (command.empty() ? "" : " ") + word;
  Json whole{{"displayTimeUnit", "ns"}};
  whole["otherData"] = {{"version", info.version},
                        {"machine", info.machine},
                        {"arguments", command},
                        {"ts", "the number of the event: no time"},
                        {"dur", "events inside, its own included"}};
  if (!info.closing.empty()) whole["otherData"]["end"] = info.closing;
  whole["traceEvents"] = Writer(events, info.broken).take();
  return whole.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace teeio::report
