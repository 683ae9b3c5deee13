#include "explore/scenario/pairs.h"

#include <algorithm>
#include <string>
#include <vector>

#include "explore/scenario/pair_calls.h"
#include "explore/scenario/pair_vm_calls.h"

namespace teeio::explore {
namespace {

/// A reset between a connection's exchanges breaks it with keys at the device already.
bool breaks_connection(const PairCall& first, const PairCall& second) {
  using Link = PairCall::Link;
  const auto breaks = [](const PairCall& one, const PairCall& other) {
    return one.link == Link::kConnects && other.link == Link::kResets;
  };
  return breaks(first, second) || breaks(second, first);
}

/// Where that may be, the card has a session with which it forgets the keys: in the clear nothing
/// ends, and it would keep them for good.
machine::Config design_for(const machine::Config& design, bool breaks) {
  machine::Config config = design;
  if (breaks)
    for (machine::CardConfig& card : config.cards) card.spdm = machine::SpdmChannel::kSession;
  return config;
}

void note_answer(Answers& answers, std::size_t number, const Result<void>& answer) {
  answers.note(number, answer ? "ok" : errno_name(answer.error().code),
               answer ? std::string_view() : answer.error().why);
}

/// The answers of the two threads are numbers 0 and 1.
void play_pair(const machine::Config& design, PairState state, const PairCall& first,
               const PairCall& second, Answers& answers) {
  const bool breaks = breaks_connection(first, second);
  const machine::Config config = design_for(design, breaks);
  Stage stage(config);
  // An RMM keeps a PDEV whose session it cannot end.
  if (breaks && design.tsm == machine::TsmKind::kCca) stage.may_lose_the_card();
  Pair pair(stage, state);
  if (first.prepare) first.prepare(pair);
  if (second.prepare && &second != &first) second.prepare(pair);
  if (first.kills_vm || second.kills_vm) stage.vm_may_die();
  const auto note = [&answers](std::size_t number, const Result<void>& answer) {
    note_answer(answers, number, answer);
  };
  stage.play(
      {{"first", [&] { note(0, first.act(pair)); }, first.removes, first.follows_removal},
       {"second", [&] { note(1, second.act(pair)); }, second.removes, second.follows_removal}});
  if (!stage.lost().empty()) stage.card_is_lost();
}

/// `never`: what it answers where it never succeeds; empty: it may.
CallAnswers note_of(std::string_view name, std::string_view never) {
  CallAnswers note{.where = "pair",
                   .call = std::string(name),
                   .allowed = {},
                   .explored = false,
                   .of_many = true,
                   .answers = {}};
  if (!never.empty()) note.allowed.emplace_back(never);
  return note;
}

CallAnswers note_of(const PairCall& call, const machine::Config& design) {
  const bool never = std::ranges::find(call.never.on, design.tsm) != call.never.on.end();
  return note_of(call.name, never ? call.never.answer : std::string_view());
}

/// No function is in it, so that none has a next life.
void play_vm_pair(const machine::Config& design, const VmCall& first, const VmCall& second,
                  Answers& answers) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  stage.has_no_next_life();
  VmState vm(stage);
  stage.play({{"first", [&] { note_answer(answers, 0, first.act(vm)); }},
              {"second", [&] { note_answer(answers, 1, second.act(vm)); }}});
}

MachineScenario vm_pair_of(const VmCall& first, const VmCall& second) {
  const std::string both = std::string(first.name) + '+' + std::string(second.name);
  return {.name = "pair/vm/" + both,
          .description = both + " of an ordinary VM at once",
          .noting = {.calls =
                         [&first, &second](const machine::Config&) {
                           return std::vector{note_of(first.name, first.never),
                                              note_of(second.name, second.never)};
                         },
                     .body =
                         [&first, &second](const machine::Config& design, Answers& answers) {
                           play_vm_pair(design, first, second, answers);
                         }},
          // It is x86's state, and the same KVM on both.
          .firmware = {machine::TsmKind::kTdx}};
}

/// Whether one of them is set against the other, where both are more than the firmware's.
bool meet(const PairCall& first, const PairCall& second) {
  const auto wants = [](const PairCall& one, const PairCall& other) {
    return one.against.empty() || one.name == other.name ||
           std::ranges::find(one.against, other.name) != one.against.end();
  };
  return wants(first, second) && wants(second, first) && first.not_with != second.name &&
         second.not_with != first.name;
}

/// Firmwares of which the pair is; empty: all.
std::vector<machine::TsmKind> firmware_of(const PairCall& first, const PairCall& second) {
  if (!first.only.empty()) return first.only;
  if (!second.only.empty()) return second.only;
  const bool refused_by_tdx = first.takes_mmio || second.takes_mmio;
  if (!refused_by_tdx) return {};
  return {machine::TsmKind::kCca, machine::TsmKind::kSev};
}

MachineScenario pair_of(PairState state, const PairCall& first, const PairCall& second) {
  const std::string_view word = state == PairState::kReady ? "ready" : "bound";
  const std::string both = std::string(first.name) + '+' + std::string(second.name);
  return {.name = "pair/" + std::string(word) + '/' + both,
          .description = both + " at once, the function " + std::string(word),
          .noting = {.calls =
                         [&first, &second](const machine::Config& design) {
                           return std::vector{note_of(first, design), note_of(second, design)};
                         },
                     .body =
                         [state, &first, &second](const machine::Config& design, Answers& answers) {
                           play_pair(design, state, first, second, answers);
                         }},
          .firmware = firmware_of(first, second)};
}

}  // namespace

std::span<const MachineScenario> pairs() {
  static const std::vector<MachineScenario> kAll = [] {
    std::vector<MachineScenario> all;
    const auto& calls = pair_calls();
    for (const PairState state : {PairState::kReady, PairState::kBound})
      for (std::size_t i = 0; i < calls.size(); ++i)
        for (std::size_t j = i; j < calls.size(); ++j)
          if (meet(calls[i], calls[j])) all.push_back(pair_of(state, calls[i], calls[j]));
    const auto& of_vms = vm_calls();
    for (std::size_t i = 0; i < of_vms.size(); ++i)
      for (std::size_t j = i; j < of_vms.size(); ++j)
        all.push_back(vm_pair_of(of_vms[i], of_vms[j]));
    return all;
  }();
  return kAll;
}

}  // namespace teeio::explore
