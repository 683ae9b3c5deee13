#include "explore/scenario/pairs.h"

#include <algorithm>
#include <string>
#include <vector>

#include "explore/scenario/pair_calls.h"

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
    answers.note(number, answer ? "ok" : errno_name(answer.error().code),
                 answer ? std::string_view() : answer.error().why);
  };
  stage.play(
      {{"first", [&] { note(0, first.act(pair)); }, first.removes, first.follows_removal},
       {"second", [&] { note(1, second.act(pair)); }, second.removes, second.follows_removal}});
  if (!stage.lost().empty()) stage.card_is_lost();
}

CallAnswers note_of(const PairCall& call, const machine::Config& design) {
  CallAnswers note{.where = "pair",
                   .call = std::string(call.name),
                   .allowed = {},
                   .explored = false,
                   .of_many = true,
                   .answers = {}};
  if (std::ranges::find(call.never.on, design.tsm) != call.never.on.end())
    note.allowed.emplace_back(call.never.answer);
  return note;
}

MachineScenario pair_of(PairState state, const PairCall& first, const PairCall& second) {
  const std::string_view word = state == PairState::kReady ? "ready" : "bound";
  const std::string both = std::string(first.name) + '+' + std::string(second.name);
  const bool refused_by_tdx = first.takes_mmio || second.takes_mmio;
  using Firmware = std::vector<machine::TsmKind>;
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
          .firmware = refused_by_tdx ? Firmware{machine::TsmKind::kCca, machine::TsmKind::kSev}
                                     : Firmware{}};
}

}  // namespace

std::span<const MachineScenario> pairs() {
  static const std::vector<MachineScenario> kAll = [] {
    std::vector<MachineScenario> all;
    const auto& calls = pair_calls();
    for (const PairState state : {PairState::kReady, PairState::kBound})
      for (std::size_t i = 0; i < calls.size(); ++i)
        for (std::size_t j = i; j < calls.size(); ++j)
          if (calls[i].not_with != calls[j].name && calls[j].not_with != calls[i].name)
            all.push_back(pair_of(state, calls[i], calls[j]));
    return all;
  }();
  return kAll;
}

}  // namespace teeio::explore
