// Hostile hosts: every row of adversaries.cc meets what it says, every object that a host
// carries is meddled with in every way, and docs/adversaries.md is what came of it.
// TEEIO_WRITE_DOCUMENT=1 writes it.

#include "explore/scenario/adversaries.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "explore/run.h"
#include "explore/scenario/catalogue.h"
#include "explore/scenario/meddling.h"

namespace teeio::explore {
namespace {

constexpr std::string_view kFlows[] = {"connect", "bind", "start", "unbind"};

const MachineScenario& scenario_named(std::string_view name) {
  for (const MachineScenario& scenario : catalogue())
    if (scenario.name == name) return scenario;
  ADD_FAILURE() << name;
  return catalogue().front();
}

/// What each flow says to a device, among other things, on every vendor.
const std::map<std::string_view, std::vector<std::string_view>> kMessages = {
    {"connect",
     {"GET_VERSION", "KEY_EXCHANGE", "FINISH", "GET_MEASUREMENTS", "KEY_PROG", "K_SET_GO"}},
    {"bind", {"LOCK_INTERFACE"}},
    {"start", {"START_INTERFACE"}},
    {"unbind", {"STOP_INTERFACE"}}};

/// All of its schedules, to the end: with each kind of object in each way.
std::vector<Meddled> sweep(std::string_view flow, const machine::Config& design) {
  std::vector<Meddled> all;
  watch_meddling([&](const Meddled& result) { all.push_back(result); });
  const auto result =
      run_scenario(make_scenario(scenario_named("meddle/" + std::string(flow)), design), {});
  watch_meddling({});
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted)
      << flow << "@" << design.name << ": "
      << (result.failure ? result.failure->what + "\n" + result.failure->story : result.bound);
  std::size_t objects = 0;
  for (const Meddled& one : all) objects = std::max(objects, one.messages.size());
  EXPECT_EQ(all.size(), objects * (kMeddlings - 1) + 1) << flow << "@" << design.name;
  for (const std::string_view message : kMessages.at(flow))
    EXPECT_TRUE(std::ranges::any_of(all,
                                    [&](const Meddled& one) {
                                      return std::ranges::find(one.messages, message) !=
                                             one.messages.end();
                                    }))
        << flow << "@" << design.name << " has no " << message;
  return all;
}

/// "TDH.DEVIF.RESPONSE: TDX_SDPM_INVALID_MESSAGE ×3", a kind of end each.
std::string summary(const std::vector<Meddled>& all, Meddling how) {
  std::map<std::pair<std::string, std::string>, int> ends;
  for (const Meddled& one : all) {
    if (one.how != how) continue;
    ++ends[{one.refusal.empty() ? "not refused" : "`" + one.refusal + "`",
            std::string(recovery_text(one)) + (one.leaks ? ", pages leak" : "")}];
  }
  std::string text;
  for (const auto& [end, times] : ends)
    text += fmt::format("{}{}, {} ×{}", text.empty() ? "" : "; ", end.first, end.second, times);
  return text.empty() ? "–" : text;
}

std::string document() {
  std::string out =
      "# Hostile hosts\n\n"
      "Made by a test from `src/explore/scenario/adversaries.cc` and from sweeps of "
      "`meddle/*`; `teeio explore 'adversary/*' 'meddle/*'` runs the same. Each has the device "
      "unbound in the end, connected anew, and once more in a VM, from bind to unbind.\n\n"
      "## What a host does, and what stops it\n\n"
      "| the host | TDX Connect | Arm CCA | AMD SEV-TIO |\n|---|---|---|---|\n";
  for (const Adversary& row : adversaries()) {
    out += fmt::format("| {} |", row.words);
    for (const machine::Config& design : default_designs()) {
      std::string cell = std::string(row.not_here);
      for (const Adversary::Attack& attack : row.attacks)
        if (attack.tsm == design.tsm) cell = fmt::format("`{}`: {}", attack.refusal, attack.then);
      out += fmt::format(" {} |", cell);
    }
    out += "\n";
  }
  out +=
      "\n## One object of an exchange is lost, repeated, late or given again\n\n"
      "The host carries data objects between firmware and device, in sessions. For each object "
      "of connect, bind, a guest's attestation and start, and unbind, each way to meddle with "
      "it: the first refusal that follows, what the host does to have the device again, and of "
      "how many objects that is true. A guest never starts a device that it has not attested, and "
      "unbind always goes through.\n\n"
      "\"Pages leak\": TF-RMM takes a STOP that fails as done (`dev_tdisp_stop_main()`), so that a "
      "VDEV and its realm go without the device; but a PDEV is STOPPED only when its session has "
      "ended in good order (`dev_assign_cmd_stop_connection_main()`), and one whose session is "
      "lost stays the monitor's, with its pages. The card has a new one. TDX has "
      "TDH.IDE.STREAM.BLOCK for such a TDI, SEV-TIO the forced unbind.\n";
  for (const std::string_view flow : kFlows) {
    out += fmt::format(
        "\n### {}\n\n| the host | TDX Connect | Arm CCA | AMD SEV-TIO |\n"
        "|---|---|---|---|\n",
        flow);
    std::vector<std::vector<Meddled>> of_design;
    for (const machine::Config& design : default_designs())
      of_design.push_back(sweep(flow, design));
    for (std::uint32_t how = 1; how < kMeddlings; ++how) {
      out += fmt::format("| {} |", meddling_name(static_cast<Meddling>(how)));
      for (const auto& all : of_design)
        out += fmt::format(" {} |", summary(all, static_cast<Meddling>(how)));
      out += "\n";
    }
  }
  return out;
}

TEST(Adversaries, AreStoppedAsTheDocumentSays) {
  const std::string path = TEEIO_SOURCE_DIR "/docs/adversaries.md";
  const std::string now = document();
  if (std::getenv("TEEIO_WRITE_DOCUMENT") != nullptr) std::ofstream(path) << now;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), now) << "run explore_scenarios_test with TEEIO_WRITE_DOCUMENT=1";
}

TEST(Adversaries, EveryVendorHasARowOfEach) {
  for (const Adversary& row : adversaries())
    EXPECT_TRUE(row.attacks.size() == default_designs().size() || !row.not_here.empty())
        << row.name;
}

}  // namespace
}  // namespace teeio::explore
