#include "sweep/variation.h"

#include <fnmatch.h>

#include <algorithm>
#include <iterator>

#include "abi/call_errors.h"

namespace teeio::sweep {
namespace {

using run::Injection;
using Kind = Injection::Kind;

/// What can be done to one call.
void add_call(std::vector<Injection>& all, const run::Injector::Point& point) {
  using When = Injection::When;
  Injection base;
  base.name = point.name;
  base.nth = point.nth;
  const auto add = [&](Kind kind, When when, Errno error) {
    Injection injection = base;
    injection.kind = kind;
    injection.when = when;
    injection.error = error;
    all.push_back(std::move(injection));
  };
  add(Kind::kKill, When::kBefore, {});
  // What the kernel does after our answer, a kill cannot come after.
  if (point.name != "close" && point.name != "mmap") add(Kind::kKill, When::kAfter, {});
  for (const abi::CallError& row : abi::errors_of(point.name))
    add(row.error == Errno::kIntr ? Kind::kSignal : Kind::kFail, When::kBefore, row.error);
}

/// Priorities alone, then with one and with two changes.
void add_orders(std::vector<Injection>& all, std::uint32_t calls, std::uint32_t orders) {
  constexpr std::uint32_t kDepths = 3;
  for (std::uint32_t i = 0; i < orders; ++i) {
    Injection injection;
    injection.kind = Kind::kOrder;
    injection.name = run::kThreads;
    injection.nth = 1 + i % kDepths;
    injection.seed = i + 1;
    injection.calls = std::max(calls, std::uint32_t{1});
    all.push_back(std::move(injection));
  }
}

std::vector<Injection> all_of(const std::vector<run::Injector::Point>& points,
                              std::uint32_t orders) {
  std::vector<Injection> all, in_other_orders;
  for (const run::Injector::Point& point : points) {
    if (point.kind == Kind::kKill) {
      add_call(all, point);
      continue;
    }
    if (point.kind == Kind::kOrder) {
      add_orders(in_other_orders, point.nth, orders);
      continue;
    }
    Injection injection;
    injection.kind = point.kind;
    injection.name = point.name;
    injection.nth = point.nth;
    injection.fault = point.fault;
    all.push_back(std::move(injection));
  }
  // Behind the others, whose numbers do not hang on who met whom in the first runs.
  std::ranges::move(in_other_orders, std::back_inserter(all));
  return all;
}

bool is_wanted(const Injection& injection, const Selection& selection) {
  const auto& dimensions = selection.dimensions;
  if (dimensions.empty() && injection.kind == Kind::kOrder) return false;
  if (!dimensions.empty() &&
      std::ranges::find(dimensions, dimension_of(injection)) == dimensions.end())
    return false;
  if (injection.kind == Injection::Kind::kOrder) return true;  // it is of no one call
  return selection.only.empty() || std::ranges::any_of(selection.only, [&](const auto& pattern) {
           return ::fnmatch(pattern.c_str(), injection.name.c_str(), 0) == 0;
         });
}

}  // namespace

std::string_view dimension_name(Dimension dimension) {
  switch (dimension) {
    case Dimension::kKill:
      return "kill";
    case Dimension::kSignal:
      return "signal";
    case Dimension::kFail:
      return "fail";
    case Dimension::kFirmware:
      return "firmware";
    case Dimension::kDevice:
      return "device";
    case Dimension::kOrder:
      return "order";
  }
  return "";
}

Dimension dimension_of(const Injection& injection) {
  switch (injection.kind) {
    case Kind::kKill:
      return Dimension::kKill;
    case Kind::kSignal:
      return Dimension::kSignal;
    case Kind::kFail:
      return Dimension::kFail;
    case Kind::kFirmware:
      return Dimension::kFirmware;
    case Kind::kDevice:
      return Dimension::kDevice;
    case Kind::kOrder:
      return Dimension::kOrder;
  }
  return Dimension::kKill;
}

std::vector<Variation> variations(const std::vector<run::Injector::Point>& points,
                                  const Selection& selection) {
  std::vector<Variation> wanted;
  std::size_t number = 0;
  for (Injection& injection : all_of(points, selection.orders)) {
    if (!is_wanted(injection, selection)) continue;
    ++number;
    const bool in_range = number >= selection.first && number <= selection.last;
    const bool in_shard = (number - 1) % selection.shards == selection.shard;
    if (in_range && in_shard) wanted.push_back({number, std::move(injection)});
  }
  return wanted;
}

std::string why_no_orders(const std::vector<run::Injector::Point>& points,
                          const Selection& selection) {
  if (points.empty() ||
      std::ranges::find(selection.dimensions, Dimension::kOrder) == selection.dimensions.end() ||
      std::ranges::find(points, Kind::kOrder, &run::Injector::Point::kind) != points.end())
    return {};
  return "--order: there is no order to choose: in two runs no thread or process of this program "
         "made a call of the machine's while another one that does was alive";
}

std::string why_no_variations(const std::vector<run::Injector::Point>& points,
                              const Selection& selection) {
  if (variations(points, {}).empty())
    return "nothing can go wrong in this program: it makes no call of the machine's";
  Selection wider;
  wider.dimensions = selection.dimensions;
  if (variations(points, wider).empty()) {
    std::string text = "nothing of this kind can go wrong in this program:";
    for (const Dimension dimension : selection.dimensions)
      text.append(" --").append(dimension_name(dimension));
    return text;
  }
  wider.only = selection.only;
  const std::size_t all = variations(points, wider).size();
  if (all == 0) {
    std::string text = "--only: no call, command or message of this program is like";
    for (const std::string& pattern : selection.only) text.append(" '").append(pattern).append("'");
    return text + (selection.dimensions.empty() ? "" : ", of what can go wrong so");
  }
  wider.first = selection.first;
  wider.last = selection.last;
  const std::string runs = std::to_string(all) + (all == 1 ? " run" : " runs");
  if (variations(points, wider).empty()) return "--range: there are only " + runs;
  return "--shard: it has none of the " + runs;
}

}  // namespace teeio::sweep
