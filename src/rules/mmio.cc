#include <fmt/format.h>

#include "rules/rule.h"

namespace teeio::rules {
namespace {

using object::Event;
using object::Fact;

/// R1. Three ways to get there: a page is mapped while nothing is locked, the
/// TDI loses its lock under a mapped page, or the page survives the unbind.
class MmioRule final : public Rule {
 public:
  explicit MmioRule(const TeardownOrder& order) : order_(order) {}

  void on_fact(const Event& event, Judgement& judge) override {
    if (!event.function) return;
    const FunctionWorld& f = judge.world().function(*event.function);
    if (event.fact == Fact::kMmioMapped)
      mapped(event, f, judge);
    else if (f.private_pages.empty())
      return;
    else if (event.fact == Fact::kTdiState)
      state_changed(event, f, judge);
    else if (event.fact == Fact::kDeviceReset)
      reset(event, f, judge);
    else if (event.fact == Fact::kUnbound)
      unbound(event, f, judge);
  }

 private:
  static void mapped(const Event& event, const FunctionWorld& f, Judgement& judge) {
    if (f.tdi_state == kTdiLocked || f.tdi_state == kTdiRun) return;
    judge.broken(RuleId::kR1, event,
                 fmt::format("{}: mapped for VM {} while the TDI is {}", event.function->str(),
                             event.vm, f.tdi_state == kTdiError ? "in ERROR" : "CONFIG_UNLOCKED"),
                 {f.tdi_changed});
  }

  /// Where the stop comes first, the unlocked TDI is on its way out. A TDI that
  /// falls to ERROR answers nothing and stays bound until somebody unbinds it.
  void state_changed(const Event& event, const FunctionWorld& f, Judgement& judge) const {
    if (event.b != kTdiUnlocked || !order_.ordered(TeardownStep::kUnmap, TeardownStep::kStop))
      return;
    still_mapped(event, f, judge, "the TDI was unlocked");
  }

  static void reset(const Event& event, const FunctionWorld& f, Judgement& judge) {
    if (f.tdi_state == kTdiUnlocked && f.locked && !f.stream_blocked)
      still_mapped(event, f, judge, "a reset unlocked the TDI");
  }

  /// A dead VM runs no more: what its table maps reaches nobody.
  static void unbound(const Event& event, const FunctionWorld& f, Judgement& judge) {
    if (!judge.world().vm_dead(f.bound_vm)) still_mapped(event, f, judge, "the TDI was unbound");
  }

  static void still_mapped(const Event& event, const FunctionWorld& f, Judgement& judge,
                           std::string_view cause) {
    judge.broken(RuleId::kR1, event,
                 fmt::format("{}: {} with {} private MMIO page{} mapped", event.function->str(),
                             cause, f.private_pages.size(), f.private_pages.size() == 1 ? "" : "s"),
                 {f.locked_at, f.private_pages.begin()->second});
  }

  const TeardownOrder& order_;
};

}  // namespace

std::unique_ptr<Rule> make_mmio_rule(const TeardownOrder& order) {
  return std::make_unique<MmioRule>(order);
}

}  // namespace teeio::rules
