#include "explore/scenario/pairs.h"

#include <string>
#include <vector>

#include "explore/scenario/pair_calls.h"

namespace teeio::explore {
namespace {

void play_pair(const machine::Config& design, PairState state, const PairCall& first,
               const PairCall& second) {
  Stage stage(design);
  Pair pair(stage, state);
  if (first.prepare) first.prepare(pair);
  if (second.prepare && &second != &first) second.prepare(pair);
  if (first.kills_vm || second.kills_vm) stage.vm_may_die();
  stage.play({{"first", [&] { first.act(pair); }}, {"second", [&] { second.act(pair); }}});
}

MachineScenario pair_of(PairState state, const PairCall& first, const PairCall& second) {
  const std::string_view word = state == PairState::kReady ? "ready" : "bound";
  const std::string both = std::string(first.name) + '+' + std::string(second.name);
  const bool refused_by_tdx = first.takes_mmio || second.takes_mmio;
  using Firmware = std::vector<machine::TsmKind>;
  return {.name = "pair/" + std::string(word) + '/' + both,
          .description = both + " at once, the function " + std::string(word),
          .body = [state, &first, &second](
                      const machine::Config& design) { play_pair(design, state, first, second); },
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
