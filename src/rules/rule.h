#pragma once

#include <initializer_list>
#include <memory>
#include <string>

#include "object/event.h"
#include "rules/teardown_order.h"
#include "rules/violation.h"
#include "rules/world.h"

namespace teeio::rules {

/// What a rule sees besides the event: the world before it, and where to report.
class Judgement {
 public:
  virtual ~Judgement() = default;
  [[nodiscard]] virtual const World& world() const = 0;
  /// A violation by `event`, whose calls in progress and origin it takes;
  /// `before` is what led there, oldest first, and `event` itself comes last.
  /// Marks that never happened are left out.
  [[nodiscard]] virtual Violation draft(RuleId rule, const object::Event& event, std::string what,
                                        std::initializer_list<Mark> before) const = 0;
  virtual void report(Violation violation) = 0;

  /// draft() and report() at once.
  void broken(RuleId rule, const object::Event& event, std::string what,
              std::initializer_list<Mark> before) {
    report(draft(rule, event, std::move(what), before));
  }
};

/// One rule, or a few that look at the same facts.
///
/// Locking: called under the trace's lock, so one event at a time. Must not emit.
class Rule {
 public:
  virtual ~Rule() = default;
  /// A state was reached (event.fact is not kNone).
  virtual void on_fact(const object::Event& event, Judgement& judge) = 0;
  /// A call was refused.
  virtual void on_refusal(const object::Event& /*event*/, Judgement& /*judge*/) {}
  /// Nothing more will come: what is still outstanding never came.
  virtual void finish(Judgement& /*judge*/) {}
};

[[nodiscard]] std::unique_ptr<Rule> make_mmio_rule(const TeardownOrder& order);
[[nodiscard]] std::unique_ptr<Rule> make_teardown_rule(const TeardownOrder& order);
[[nodiscard]] std::unique_ptr<Rule> make_lifetime_rules();
[[nodiscard]] std::unique_ptr<Rule> make_host_access_rule();
[[nodiscard]] std::unique_ptr<Rule> make_give_back_rule();
[[nodiscard]] std::unique_ptr<Rule> make_dma_rule();
[[nodiscard]] std::unique_ptr<Rule> make_freshness_rule();
[[nodiscard]] std::unique_ptr<Rule> make_start_rule();

}  // namespace teeio::rules
