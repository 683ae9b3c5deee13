#include "sweep/outcome.h"

#include <nlohmann/json.hpp>

namespace teeio::sweep {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostStatus = 255;

struct OutOfRange {};

std::string line(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// A whole number from 0 to `most`: get() takes any, and cuts it off.
std::uint64_t number(const json& value, std::uint64_t most) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) throw OutOfRange();
  return value.get<std::uint64_t>();
}

/// No exception leaves: a line that is not as it should be has a reason.
template <class T>
std::expected<T, std::string> parse(std::string_view text, T (*read)(const json&)) {
  const json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded() || !value.is_object()) return std::unexpected("it is no JSON object");
  try {
    return read(value);
  } catch (const json::exception&) {
    return std::unexpected("a member is missing or of another type");
  } catch (const OutOfRange&) {
    return std::unexpected("a number is out of range");
  }
}

}  // namespace

std::string to_json(const Outcome& outcome) {
  json broken = json::array();
  for (const Outcome::Broken& b : outcome.broken)
    broken.push_back({{"rule", b.rule}, {"call", b.call}, {"what", b.what}, {"stack", b.stack}});
  return line({{"status", outcome.status},
               {"killed", outcome.killed},
               {"cut_off", outcome.cut_off},
               {"out_of_processes", outcome.out_of_processes},
               {"broken", std::move(broken)},
               {"lost", outcome.lost},
               {"happened", outcome.happened},
               {"stack", outcome.stack},
               {"expectation", outcome.expectation},
               {"last_words", outcome.last_words},
               {"crash", outcome.crash}});
}

std::expected<Outcome, std::string> parse_outcome(std::string_view text) {
  return parse<Outcome>(text, [](const json& value) {
    Outcome outcome{.status = static_cast<int>(number(value.at("status"), kMostStatus)),
                    .killed = value.at("killed").get<std::vector<std::string>>(),
                    .cut_off = value.at("cut_off").get<std::string>(),
                    .out_of_processes = value.at("out_of_processes").get<bool>(),
                    .broken = {},
                    .lost = value.at("lost").get<std::vector<std::string>>(),
                    .happened = value.at("happened").get<bool>(),
                    .stack = value.at("stack").get<std::vector<std::string>>(),
                    .expectation = value.at("expectation").get<std::string>(),
                    .last_words = value.at("last_words").get<std::string>(),
                    .crash = value.at("crash").get<std::string>()};
    for (const json& b : value.at("broken"))
      outcome.broken.push_back({b.at("rule").get<std::string>(), b.at("call").get<std::string>(),
                                b.at("what").get<std::string>(),
                                b.at("stack").get<std::vector<std::string>>()});
    return outcome;
  });
}

std::string to_json(const run::Injector::Point& point) {
  return line({{"kind", std::to_underlying(point.kind)},
               {"name", point.name},
               {"fault", std::to_underlying(point.fault)},
               {"nth", point.nth}});
}

std::expected<run::Injector::Point, std::string> parse_point(std::string_view text) {
  return parse<run::Injector::Point>(text, [](const json& value) {
    constexpr auto kLastKind = std::to_underlying(run::Injection::Kind::kOrder);
    constexpr auto kLastFault = std::to_underlying(schedule::Fault::kGone);
    return run::Injector::Point{
        .kind = static_cast<run::Injection::Kind>(number(value.at("kind"), kLastKind)),
        .name = value.at("name").get<std::string>(),
        .fault = static_cast<schedule::Fault>(number(value.at("fault"), kLastFault)),
        .nth = static_cast<std::uint32_t>(number(value.at("nth"), UINT32_MAX))};
  });
}

}  // namespace teeio::sweep
