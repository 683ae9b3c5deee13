#include <fmt/format.h>

#include "rules/rule.h"

namespace teeio::rules {
namespace {

using object::Event;
using object::Fact;

/// R8. Sequence numbers only rise, so the last one of each session is enough.
class FreshnessRule final : public Rule {
 public:
  void on_fact(const Event& event, Judgement& judge) override {
    if (event.fact == Fact::kKeyUsed)
      key(event, judge);
    else if (event.fact == Fact::kSequenceUsed)
      sequence(event, judge);
  }

 private:
  void key(const Event& event, Judgement& judge) {
    const auto [first, fresh] = keys_.try_emplace(event.b, Mark::of(event));
    if (fresh) return;
    judge.broken(RuleId::kR8, event,
                 fmt::format("stream {}: programmed with an IDE key that was used before", event.a),
                 {first->second});
  }

  void sequence(const Event& event, Judgement& judge) {
    const auto [last, fresh] = sequences_.try_emplace(event.a, Mark::of(event));
    if (fresh) return;
    if (event.b <= last->second.b)
      judge.broken(
          RuleId::kR8, event,
          fmt::format("session {}: sequence number {} after {}", event.a, event.b, last->second.b),
          {last->second});
    last->second = Mark::of(event);
  }

  std::map<std::uint64_t, Mark> keys_;       ///< by digest: its first use
  std::map<std::uint64_t, Mark> sequences_;  ///< by session: its last use
};

/// R9.
class StartRule final : public Rule {
 public:
  void on_fact(const Event& event, Judgement& judge) override {
    if (!event.function) return;
    const FunctionWorld& f = judge.world().function(*event.function);
    if (event.fact == Fact::kTdiState && event.b == kTdiRun && event.a != kTdiLocked)
      judge.broken(
          RuleId::kR9, event,
          fmt::format("{}: the TDI reached RUN, and not from CONFIG_LOCKED", event.function->str()),
          {f.tdi_changed});
    else if (event.fact == Fact::kTdiStarted)
      started(event, f, judge);
  }

 private:
  static void started(const Event& event, const FunctionWorld& f, Judgement& judge) {
    std::string_view what;
    if (event.a != f.lock_nonce)
      what = "started with a nonce that is not the lock's";
    else if (!f.guest_start.happened())
      what = "started, and no guest asked for it";
    else if (f.guest_start.a != event.a)
      what = "started with a nonce that its guest did not give";
    else if (f.metadata_vm != 0 && f.guest_start.vm != f.metadata_vm)
      what = "started at the request of another VM's guest";
    else
      return;
    judge.broken(RuleId::kR9, event, fmt::format("{}: {}", event.function->str(), what),
                 {f.locked_at, f.guest_start});
  }
};

}  // namespace

std::unique_ptr<Rule> make_freshness_rule() { return std::make_unique<FreshnessRule>(); }
std::unique_ptr<Rule> make_start_rule() { return std::make_unique<StartRule>(); }

}  // namespace teeio::rules
