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

constexpr std::string_view kFlows[] = {"connect", "bind", "start", "unbind", "refresh"};

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
    {"unbind", {"STOP_INTERFACE"}},
    {"refresh", {"KEY_PROG", "K_SET_GO"}}};

enum class Cards : std::uint8_t { kOne, kTwo };

/// Two cards of a kind answer these with the same bytes.
constexpr std::string_view kSameOfBoth[] = {"GET_VERSION", "GET_CAPABILITIES",
                                            "NEGOTIATE_ALGORITHMS"};

/// Where another card has answered, the call fails. An unbind goes through, by force.
void expect_that_no_card_speaks_for_another(const std::vector<Meddled>& all,
                                            std::string_view where) {
  for (const Meddled& one : all) {
    const std::string& message = one.messages.back();
    const bool same = one.how == Meddling::kGivesAcross &&
                      std::ranges::find(kSameOfBoth, message) != std::end(kSameOfBoth);
    EXPECT_EQ(one.failed, one.how != Meddling::kNone && !same)
        << where << ": the host " << meddling_name(one.how) << ", object " << one.object << " "
        << message;
  }
}

/// All of its schedules, to the end: with each kind of object in each way.
std::vector<Meddled> sweep(std::string_view flow, const machine::Config& design,
                           Cards cards = Cards::kOne) {
  const std::size_t ways = cards == Cards::kOne ? kMeddlings - 1 : kCrossings;
  std::vector<Meddled> all;
  watch_meddling([&](const Meddled& result) { all.push_back(result); });
  const auto result = run_scenario(
      make_scenario(
          scenario_named("meddle/" + std::string(flow) + (cards == Cards::kTwo ? "-of-two" : "")),
          design),
      {});
  watch_meddling({});
  EXPECT_EQ(result.verdict, ScenarioResult::Verdict::kExhausted)
      << flow << "@" << design.name << ": "
      << (result.failure ? result.failure->what + "\n" + result.failure->story : result.bound);
  std::size_t objects = 0;
  for (const Meddled& one : all) objects = std::max(objects, one.messages.size());
  EXPECT_EQ(all.size(), objects * ways + 1) << flow << "@" << design.name;
  for (const std::string_view message : kMessages.at(flow))
    EXPECT_TRUE(std::ranges::any_of(all,
                                    [&](const Meddled& one) {
                                      return std::ranges::find(one.messages, message) !=
                                             one.messages.end();
                                    }))
        << flow << "@" << design.name << " has no " << message;
  if (cards == Cards::kTwo && flow != "unbind")
    expect_that_no_card_speaks_for_another(all, std::string(flow) + "@" + design.name);
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

std::string table(std::string_view flow, Cards cards) {
  const bool two = cards == Cards::kTwo;
  std::string out = fmt::format(
      "\n### {}{}\n\n| the host | TDX Connect | Arm CCA | AMD SEV-TIO |\n"
      "|---|---|---|---|\n",
      flow, two ? ", of two cards" : "");
  std::vector<std::vector<Meddled>> of_design;
  for (const machine::Config& design : default_designs())
    of_design.push_back(sweep(flow, design, cards));
  const std::uint32_t first = two ? kMeddlings : 1;
  const std::uint32_t end = two ? kMeddlings + kCrossings : kMeddlings;
  for (std::uint32_t how = first; how < end; ++how) {
    out += fmt::format("| {} |", meddling_name(static_cast<Meddling>(how)));
    for (const auto& all : of_design)
      out += fmt::format(" {} |", summary(all, static_cast<Meddling>(how)));
    out += "\n";
  }
  return out;
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
      "The host carries data objects between firmware and device, in sessions. For each object of "
      "connect, bind, a guest's attestation and start, unbind, and of new IDE keys, each way to "
      "meddle with it: the first refusal that follows, what the host does to have the device "
      "again, and of how many objects that is true. A guest never starts a device that it has not "
      "attested, and unbind always goes through.\n\n"
      "\"Pages leak\": TF-RMM takes a STOP that fails as done (`dev_tdisp_stop_main()`), so that a "
      "VDEV and its realm go without the device; but a PDEV is STOPPED only when its session has "
      "ended in good order (`dev_assign_cmd_stop_connection_main()`), and one whose session is "
      "lost stays the monitor's, with its pages. The card has a new one. TDX has "
      "TDH.IDE.STREAM.BLOCK for such a TDI, SEV-TIO the forced unbind.\n";
  for (const std::string_view flow : kFlows) out += table(flow, Cards::kOne);
  out +=
      "\n## Objects of two cards are crossed\n\n"
      "Two cards of a kind, each in a session of its own and with a VM of its own. An object that "
      "is for the one is carried to the other, or the firmware gets what the other has answered to "
      "the like object before. No firmware takes one card's word for the other's, but for the "
      "answers to GET_VERSION, GET_CAPABILITIES and NEGOTIATE_ALGORITHMS, which are the same of "
      "both cards. Either function is given back by its VM; what the host does is what it must do "
      "to have both cards again.\n";
  for (const std::string_view flow : kFlows)
    if (flow != "refresh") out += table(flow, Cards::kTwo);
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
