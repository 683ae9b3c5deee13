#include <fmt/format.h>

#include <set>
#include <tuple>

#include "rules/rule.h"

namespace teeio::rules {
namespace {

using object::Event;
using object::Fact;
using object::HostTouch;

std::string_view touch_text(std::uint64_t touch) {
  switch (static_cast<HostTouch>(touch)) {
    case HostTouch::kRead:
      return "read by the host";
    case HostTouch::kWrite:
      return "written by the host";
    case HostTouch::kConfigWrite:
      return "configured by the host";
    case HostTouch::kReset:
      return "reset by the host";
    case HostTouch::kMailbox:
      return "spoken to by the host";
  }
  return "touched by the host";
}

/// R4. Each kind of touch is reported once a binding: a program that polls a
/// register would otherwise fill the screen. A DSM's mailbox has one owner from connect to
/// disconnect, the TSM, whether or not a function is bound: who else writes to it loses the
/// answers of the session, or ends it.
class HostAccessRule final : public Rule {
 public:
  void on_fact(const Event& event, Judgement& judge) override {
    if (!event.function) return;
    const FunctionWorld& f = judge.world().function(*event.function);
    if (event.fact == Fact::kBound) bound(event, f, judge);
    if (is_mailbox(event)) return mailbox(event, judge);
    if (f.bound_vm == 0) return;
    if (event.fact == Fact::kHostMapped)
      mapped(event, f, judge);
    else if (event.fact == Fact::kHostTouched)
      touched(event, f, event.a, judge);
    else if (event.fact == Fact::kDeviceReset)
      touched(event, f, static_cast<std::uint64_t>(HostTouch::kReset), judge);
  }

 private:
  static bool is_mailbox(const Event& event) {
    return event.fact == Fact::kHostTouched &&
           static_cast<HostTouch>(event.a) == HostTouch::kMailbox;
  }

  void mailbox(const Event& event, Judgement& judge) {
    constexpr std::uint64_t kWhileConnected = 0;
    if (!told_.emplace(*event.function, kWhileConnected, event.a).second) return;
    judge.broken(
        RuleId::kR4, event,
        fmt::format("{}: its DOE mailbox written by a program while a TSM's session uses it",
                    event.function->str()),
        {});
  }

  static void bound(const Event& event, const FunctionWorld& f, Judgement& judge) {
    for (const auto& [bar, mark] : f.host_maps)
      judge.broken(RuleId::kR4, event,
                   fmt::format("{}: bound to VM {} while BAR{} is mapped by a program",
                               event.function->str(), event.vm, bar),
                   {mark});
  }

  static void mapped(const Event& event, const FunctionWorld& f, Judgement& judge) {
    judge.broken(RuleId::kR4, event,
                 fmt::format("{}: BAR{} mapped by a program while bound to VM {}",
                             event.function->str(), event.a, f.bound_vm),
                 {f.bound});
  }

  void touched(const Event& event, const FunctionWorld& f, std::uint64_t touch, Judgement& judge) {
    if (!told_.emplace(*event.function, f.bound.seq, touch).second) return;
    judge.broken(RuleId::kR4, event,
                 fmt::format("{}: {} while bound to VM {}", event.function->str(),
                             touch_text(touch), f.bound_vm),
                 {f.bound});
  }

  std::set<std::tuple<Bdf, std::uint64_t, std::uint64_t>> told_;
};

/// R10. A device whose stream had to be blocked may take until the end to come
/// back; any other is CONFIG_UNLOCKED with its DMA off when it is unbound.
class GiveBackRule final : public Rule {
 public:
  void on_fact(const Event& event, Judgement& judge) override {
    if (!event.function) return;
    if (event.fact == Fact::kTdiState && event.b == kTdiUnlocked) late_.erase(*event.function);
    if (event.fact != Fact::kUnbound) return;
    const FunctionWorld& f = judge.world().function(*event.function);
    if (f.trusted_dma)
      judge.broken(RuleId::kR10, event,
                   fmt::format("{}: unbound with trusted DMA on", event.function->str()),
                   {f.trusted_dma_at});
    if (f.tdi_state == kTdiUnlocked) return;
    Violation violation = judge.draft(
        RuleId::kR10, event,
        fmt::format("{}: unbound while its TDI is not CONFIG_UNLOCKED", event.function->str()),
        {f.bound, f.tdi_changed});
    if (f.stream_blocked)
      late_.insert_or_assign(*event.function, std::move(violation));
    else
      judge.report(std::move(violation));
  }

  void finish(Judgement& judge) override {
    for (auto& [bdf, violation] : late_) judge.report(std::move(violation));
    late_.clear();
  }

 private:
  std::map<Bdf, Violation> late_;
};

}  // namespace

std::unique_ptr<Rule> make_host_access_rule() { return std::make_unique<HostAccessRule>(); }
std::unique_ptr<Rule> make_give_back_rule() { return std::make_unique<GiveBackRule>(); }

}  // namespace teeio::rules
