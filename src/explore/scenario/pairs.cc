#include "explore/scenario/pairs.h"

#include <algorithm>
#include <string>
#include <vector>

#include "explore/scenario/pair_calls.h"

namespace teeio::explore {
namespace {

/// The answers of the two threads are numbers 0 and 1.
void play_pair(const machine::Config& design, PairState state, const PairCall& first,
               const PairCall& second, Answers& answers) {
  Stage stage(design);
  Pair pair(stage, state);
  if (first.prepare) first.prepare(pair);
  if (second.prepare && &second != &first) second.prepare(pair);
  if (first.kills_vm || second.kills_vm) stage.vm_may_die();
  const auto note = [&answers](std::size_t number, const Result<void>& answer) {
    answers.note(number, answer ? "ok" : errno_name(answer.error().code),
                 answer ? std::string_view() : answer.error().why);
  };
  stage.play({{"first", [&] { note(0, first.act(pair)); }},
              {"second", [&] { note(1, second.act(pair)); }}});
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
