#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "object/trace.h"
#include "rules/census.h"
#include "rules/rule.h"
#include "rules/teardown_order.h"
#include "rules/violation.h"
#include "rules/world.h"

namespace teeio::rules {

/// The rules R1–R10 over a machine's events.
///
/// Lifetime: as long as the trace it is a sink of.
/// Locking: none of its own; events arrive under the trace's lock. finish(),
/// compare() and violations() only when no task emits.
class Sanitizer final : public object::TraceSink, private Judgement {
 public:
  using Reporter = std::function<void(const Violation&)>;
  using Gate = std::function<bool(const Violation&)>;

  /// `order` is the machine's TSM's (teardown_order("tdx")). `reporter` is
  /// called with each violation at once, under the trace's lock: it must not
  /// emit, nor wait for a task that does. May be empty. `gate` is asked before,
  /// in the same way: what it does not let through never was. Empty: all passes.
  explicit Sanitizer(const TeardownOrder& order, Reporter reporter = {}, Gate gate = {});

  void on_event(const object::Event& event) override;
  void on_outcome(const object::Event& event) override;

  /// After the last event: reports what was still outstanding.
  void finish();
  /// R5 over the whole run: what Census::compare() found, all of it in one
  /// violation; none if it found nothing.
  void compare(const std::vector<Census::Difference>& differences);

  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }

 private:
  struct OpenCall {
    Mark mark;
    std::uint64_t parent;
  };

  [[nodiscard]] const World& world() const override { return world_; }
  [[nodiscard]] Violation draft(RuleId rule, const object::Event& event, std::string what,
                                std::initializer_list<Mark> before) const override;
  void report(Violation violation) override;

  const Reporter reporter_;
  const Gate gate_;
  std::vector<std::unique_ptr<Rule>> rules_;
  World world_;
  std::map<std::uint64_t, OpenCall> calls_;  ///< in progress, by seq
  std::vector<Violation> violations_;
};

}  // namespace teeio::rules
