#include "serve/validate/suite.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "schedule/task.h"
#include "serve/validate/bench.h"
#include "serve/validate/raw_spdm.h"
#include "wire/ide_km.h"

namespace teeio::serve::validate {
namespace {

/// When a suite runs without being named.
enum class Unasked : std::uint8_t {
  kRuns,
  kNotOnBus,  ///< what it leaves behind, a socket's responder forgets, and a real device keeps
  kNever,     ///< not of every responder
};
struct SuiteRow {
  std::string_view name;
  std::span<const Case> (*cases)();
  std::uint8_t version;
  Unasked unasked = Unasked::kRuns;
};
constexpr SuiteRow kSuites[] = {
    {"doe", doe_cases, 0},
    {"spdm10", spdm_cases, wire::kSpdmVersion10},
    {"spdm11", spdm_cases, wire::kSpdmVersion11},
    {"spdm12", spdm_cases, wire::kSpdmVersion12},
    {"spdm13", spdm_cases, wire::kSpdmVersion13},
    {"spdm14", spdm_cases, wire::kSpdmVersion14},
    {"session", session_cases, 0},
    {"auth", auth_cases, 0},
    {"provisioning", provisioning_cases, 0, Unasked::kNotOnBus},
    {"events", event_cases, 0, Unasked::kNotOnBus},
    {"ide_km", ide_km_cases, 0},
    {"tdisp", tdisp_cases, 0},
    {"cxl", cxl_cases, 0, Unasked::kNotOnBus},
    {"tee_io", tee_io_cases, 0, Unasked::kNever},
};

bool wanted(const std::vector<std::string>& list, const std::vector<std::string>& prefixes,
            const SuiteRow& suite, Where where) {
  if (!list.empty()) return std::ranges::find(list, suite.name) != list.end();
  const bool runs = suite.unasked == Unasked::kRuns ||
                    (suite.unasked == Unasked::kNotOnBus && where == Where::kSocket);
  return runs || std::ranges::any_of(prefixes, [&](const std::string& prefix) {
           return prefix.starts_with(suite.name);
         });
}

/// The peer said which versions it has, and this is none of them.
bool lacks(const Target& target, std::uint8_t version) {
  return version != 0 && target.versions &&
         std::ranges::find(*target.versions, version) == target.versions->end();
}

/// Suites of what travels in vendor-defined requests.
bool is_of_pcie(std::string_view suite) {
  return suite == "ide_km" || suite == "tdisp" || suite == "cxl";
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
                              const std::vector<std::string>& prefixes, Where where) {
  std::vector<PlannedCase> list;
  for (const SuiteRow& suite : kSuites) {
    if (!wanted(suites, prefixes, suite, where)) continue;
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
  const std::size_t before = target.watch == nullptr ? 0 : target.watch->packets();
  CaseResult result;
  result.planned = planned;
  Bench bench(target, planned.version);
  result.verdict = planned.suite == "doe" && target.transport != PlatformTransport::kPciDoe
                       ? skipped(fmt::format("transport {} has no DOE", name(target.transport)))
                   : lacks(target, planned.version)
                       ? skipped(fmt::format("VERSION does not list SPDM {}.{}",
                                             planned.version >> 4U, planned.version & 0xfU))
                   : !target.refuses_ide_km.empty() && is_of_pcie(planned.suite)
                       ? skipped(target.refuses_ide_km)
                       : planned.row.body(bench);
  // Who gave a machine file wants to know: nothing was held against it is no success.
  if (target.machine != nullptr && planned.id == kMachineCase &&
      result.verdict.kind == Verdict::Kind::kSkip)
    result.verdict = failed("not held against the machine file: " + result.verdict.why);
  result.time_us = (schedule::now_ns() - begin_ns) / 1000;
  result.lost = bench.lost();
  result.never_linked = bench.never_linked();
  const std::size_t after = target.watch == nullptr ? 0 : target.watch->packets();
  if (after > before) result.first_packet = before + 1;
  if (after > before) result.last_packet = after;
  return result;
}

namespace {

/// The versions that the peer lists; nullopt when it does not say.
std::optional<std::vector<std::uint8_t>> ask_versions(const Target& target) {
  Bench bench(target, 0);
  auto link = bench.link();
  if (!link) return std::nullopt;
  const Reply reply = raw_version(*link);
  const auto answer = wire::SpdmVersionResponse::decode(reply.bytes);
  if (!reply.answered() || !answer || answer->versions.empty()) return std::nullopt;
  return answer->versions;
}

/// IDE_KM and TDISP are DOE's first of all: a responder may not have them over another transport.
/// Why cases of them are skipped then; empty: they are not.
std::string ask_ide_km(const Target& target) {
  if (target.transport == PlatformTransport::kPciDoe) return {};
  Bench bench(target, 0);
  auto session = bench.session();
  if (!session) return {};  // the cases themselves say why
  const bool answered = session->ide_km(wire::IdeKmQuery{target.port_index}).has_value();
  const Reply& last = session->last();
  if (answered || last.kind != Reply::Kind::kError) return {};
  return fmt::format("the responder has no IDE_KM over transport {}: QUERY gets {}",
                     name(target.transport), last.str());
}

/// Whether the peer answers, within its time limit: it may be being started again.
bool is_there(const Target& target) {
  constexpr unsigned kRetryMs = 100;
  for (unsigned waited_ms = 0;; waited_ms += kRetryMs) {
    if (greet(target)) return true;
    if (waited_ms >= target.timeout_ms) return false;
    (void)::poll(nullptr, 0, kRetryMs);
  }
}

/// The first case that could not be set up for a reason; the others are skipped.
class SetUps {
 public:
  void look_at(CaseResult& result, std::size_t number) {
    if (!result.verdict.set_up) return;
    const auto [at, first] =
        seen_.try_emplace(fmt::format("{} {}", result.planned.suite, result.verdict.why), number);
    if (!first)
      result.verdict = skipped(
          fmt::format("cannot be set up, as case {} failed: {}", at->second, result.verdict.why));
  }

 private:
  std::map<std::string, std::size_t> seen_;
};

/// The last case that reached the responder, from 1; 0: none did.
std::size_t last_reached(const std::vector<CaseResult>& results) {
  for (std::size_t number = results.size(); number != 0; --number)
    if (!results[number - 1].never_linked) return number;
  return 0;
}

/// What is told already stays told: the case behind the last one that reached it fails for it.
Verdict not_survived(const CaseResult& result, const std::vector<CaseResult>& before) {
  const std::size_t last = last_reached(before);
  if (!result.never_linked || last == 0)
    return failed("the responder did not survive this case: it does not answer any more");
  return failed(
      fmt::format("the responder does not answer any more since case {} ({}), after which "
                  "it ended",
                  last, before[last - 1].planned.id));
}

}  // namespace

Judgement judge(const std::vector<PlannedCase>& cases, Target target,
                const std::function<void(const CaseResult&)>& tell) {
  target.versions = ask_versions(target);
  if (std::ranges::any_of(cases,
                          [](const PlannedCase& planned) { return is_of_pcie(planned.suite); }))
    target.refuses_ide_km = ask_ide_km(target);
  Judgement judgement;
  SetUps set_ups;
  std::set<std::string> remarks;
  const std::string where = target.name();
  for (const PlannedCase& planned : cases) {
    CaseResult result = run_case(planned, target);
    const bool gone = result.lost && !is_there(target);
    if (gone) result.verdict = not_survived(result, judgement.results);
    set_ups.look_at(result, judgement.results.size() + 1);
    if (!result.verdict.remark.empty() && !remarks.insert(result.verdict.remark).second)
      result.verdict.remark.clear();
    judgement.results.push_back(std::move(result));
    tell(judgement.results.back());
    if (!gone) continue;
    const std::size_t since = std::max<std::size_t>(last_reached(judgement.results), 1);
    judgement.bail_out = fmt::format("nobody answers at {} any more since case {} ({})", where,
                                     since, judgement.results[since - 1].planned.id);
    return judgement;
  }
  // No command of a bus says that the judge has left: GET_VERSION ends the last case's sessions,
  // and with them their keys.
  if (target.bus != nullptr) (void)ask_versions(target);
  return judgement;
}

std::expected<void, std::string> greet(const Target& target) {
  if (target.bus != nullptr) {
    if (ask_versions(target)) return {};
    const std::string trouble = target.bus->trouble();
    return std::unexpected(target.name() + ": " +
                           (trouble.empty() ? "GET_VERSION is not answered" : trouble));
  }
  auto client = target.connect();
  if (!client) return std::unexpected(client.error());
  const auto answer =
      client->exchange(PlatformCommand::kTest, std::as_bytes(std::span(kClientGreeting)));
  if (!answer)
    return std::unexpected(fmt::format("{}: the greeting is not answered over transport {}",
                                       target.address.str(), name(target.transport)));
  return {};
}

}  // namespace teeio::serve::validate
