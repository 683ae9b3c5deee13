#include "serve/validate/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "schedule/task.h"

namespace teeio::serve::validate {
namespace {

struct SuiteRow {
  std::string_view name;
  std::span<const Case> (*cases)();
  std::uint8_t version;
};
constexpr SuiteRow kSuites[] = {
    {"doe", doe_cases, 0},
    {"spdm10", spdm_cases, wire::kSpdmVersion10},
    {"spdm11", spdm_cases, wire::kSpdmVersion11},
    {"spdm12", spdm_cases, wire::kSpdmVersion12},
    {"spdm13", spdm_cases, wire::kSpdmVersion13},
    {"spdm14", spdm_cases, wire::kSpdmVersion14},
    {"session", session_cases, 0},
    {"ide_km", ide_km_cases, 0},
    {"tdisp", tdisp_cases, 0},
};

bool wanted(const std::vector<std::string>& list, std::string_view name) {
  return list.empty() || std::ranges::find(list, name) != list.end();
}

bool begins(const std::vector<std::string>& prefixes, std::string_view id) {
  return prefixes.empty() || std::ranges::any_of(prefixes, [&](const std::string& prefix) {
           return id.starts_with(prefix);
         });
}

}  // namespace

std::vector<std::string_view> suite_names() {
  std::vector<std::string_view> names;
  for (const SuiteRow& suite : kSuites) names.push_back(suite.name);
  return names;
}

std::vector<PlannedCase> plan(const std::vector<std::string>& suites,
                              const std::vector<std::string>& prefixes) {
  std::vector<PlannedCase> list;
  for (const SuiteRow& suite : kSuites) {
    if (!wanted(suites, suite.name)) continue;
    for (const Case& row : suite.cases()) {
      if (row.since > suite.version && suite.version != 0) continue;
      std::string id = fmt::format("{}.{}", suite.name, row.id);
      if (begins(prefixes, id)) list.push_back({std::move(id), row, suite.name, suite.version});
    }
  }
  return list;
}

CaseResult run_case(const PlannedCase& planned, const Target& target) {
  const std::uint64_t begin_ns = schedule::now_ns();
  const auto judge = [&] {
    if (planned.suite == "doe" && target.transport != PlatformTransport::kPciDoe)
      return skipped(fmt::format("transport {} has no DOE", name(target.transport)));
    Bench bench(target, planned.version);
    return planned.row.body(bench);
  };
  Verdict verdict = judge();
  return {planned, std::move(verdict), (schedule::now_ns() - begin_ns) / 1000};
}

std::expected<void, std::string> greet(const Target& target) {
  auto client = Client::connect(target.address, target.transport, target.timeout_ms);
  if (!client) return std::unexpected(client.error());
  const auto answer =
      client->exchange(PlatformCommand::kTest, std::as_bytes(std::span(kClientGreeting)));
  if (!answer)
    return std::unexpected(fmt::format("{}: the greeting is not answered over transport {}",
                                       target.address.str(), name(target.transport)));
  return {};
}

}  // namespace teeio::serve::validate
