#include "rules/sanitizer.h"

#include <fmt/format.h>

#include <algorithm>

namespace teeio::rules {
namespace {

/// A run that breaks rules in a loop must not eat the machine: reports beyond
/// this are counted by nobody and say nothing new.
constexpr std::size_t kMaxViolations = 1000;

std::vector<std::unique_ptr<Rule>> make_rules(const TeardownOrder& order) {
  std::vector<std::unique_ptr<Rule>> rules;
  rules.push_back(make_mmio_rule(order));
  rules.push_back(make_teardown_rule(order));
  rules.push_back(make_lifetime_rules());
  rules.push_back(make_host_access_rule());
  rules.push_back(make_give_back_rule());
  rules.push_back(make_dma_rule());
  rules.push_back(make_freshness_rule());
  rules.push_back(make_start_rule());
  return rules;
}

}  // namespace

Sanitizer::Sanitizer(const TeardownOrder& order, Reporter reporter, Gate gate)
    : reporter_(std::move(reporter)), gate_(std::move(gate)), rules_(make_rules(order)) {}

void Sanitizer::on_event(const object::Event& event) {
  if (event.fact == object::Fact::kNone) {
    calls_.emplace(event.seq, OpenCall{Mark::of(event), event.parent});
    return;
  }
  for (const auto& rule : rules_) rule->on_fact(event, *this);
  world_.apply(event);
}

void Sanitizer::on_outcome(const object::Event& event) {
  if (event.refused)
    for (const auto& rule : rules_) rule->on_refusal(event, *this);
  calls_.erase(event.seq);
}

void Sanitizer::finish() {
  for (const auto& rule : rules_) rule->finish(*this);
}

void Sanitizer::compare(const std::vector<Census::Difference>& differences) {
  if (differences.empty()) return;
  Violation violation{.rule = RuleId::kR5,
                      .what = "the machine is not as it was at boot",
                      .origin = {},
                      .stack = {},
                      .events = {}};
  for (const Census::Difference& d : differences)
    violation.events.push_back({0, fmt::format("{}: {} at boot, {} now", d.key, d.boot, d.end)});
  report(std::move(violation));
}

Violation Sanitizer::draft(RuleId rule, const object::Event& event, std::string what,
                           std::initializer_list<Mark> before) const {
  Violation violation{.rule = rule,
                      .seq = event.seq,
                      .function = event.function,
                      .what = std::move(what),
                      .origin = event.origin,
                      .stack = {},
                      .events = {}};
  for (auto call = calls_.find(event.parent); call != calls_.end();
       call = calls_.find(call->second.parent))
    violation.stack.push_back(call->second.mark.evidence());
  for (const Mark& mark : before)
    if (mark.happened()) violation.events.push_back(mark.evidence());
  std::sort(violation.events.begin(), violation.events.end(),
            [](const Evidence& x, const Evidence& y) { return x.seq < y.seq; });
  violation.events.push_back(Evidence::of(event));
  return violation;
}

void Sanitizer::report(Violation violation) {
  if (gate_ && !gate_(violation)) return;
  if (violations_.size() == kMaxViolations) return;
  violations_.push_back(std::move(violation));
  if (reporter_) reporter_(violations_.back());
}

}  // namespace teeio::rules
