#include "rules/teardown_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "rules/rule.h"

namespace teeio::rules {
namespace {

using object::Event;
using object::Fact;
using enum TeardownStep;

constexpr std::array kTdxPairs = {
    OrderedPair{kStop, kUnmap},         OrderedPair{kStop, kDmaOff},
    OrderedPair{kUnmap, kFreeMetadata}, OrderedPair{kDmaOff, kFreeMetadata},
    OrderedPair{kStop, kFreeMetadata},  OrderedPair{kStop, kReset},
};
constexpr std::array kCcaPairs = {
    OrderedPair{kUnmap, kStop},         OrderedPair{kDmaOff, kStop},
    OrderedPair{kUnmap, kFreeMetadata}, OrderedPair{kDmaOff, kFreeMetadata},
    OrderedPair{kStop, kFreeMetadata},  OrderedPair{kStop, kReset},
};
constexpr std::array kSevPairs = {
    OrderedPair{kStop, kFreeMetadata},
    OrderedPair{kStop, kReset},
};

std::optional<TeardownStep> step_of(Fact fact) {
  if (fact == Fact::kTdiStopped) return kStop;
  if (fact == Fact::kMmioUnmapped) return kUnmap;
  if (fact == Fact::kTrustedDmaOff) return kDmaOff;
  if (fact == Fact::kMetadataRemoved) return kFreeMetadata;
  if (fact == Fact::kDeviceReset) return kReset;
  return std::nullopt;
}

bool outstanding(TeardownStep step, const FunctionWorld& f, const TeardownOrder& order) {
  switch (step) {
    case kStop:
      return f.locked && !f.stream_blocked && !(order.force_is_stop && f.given_up);
    case kUnmap:
      return !f.private_pages.empty();
    case kDmaOff:
      return f.trusted_dma;
    case kFreeMetadata:
      return f.metadata_vm != 0;
    case kReset:
      return false;  // nothing has to wait for a reset
  }
  return false;
}

/// What made the step necessary, for the report.
Mark reason(TeardownStep step, const FunctionWorld& f) {
  switch (step) {
    case kStop:
      return f.locked_at;
    case kUnmap:
      return f.private_pages.empty() ? Mark{} : f.private_pages.begin()->second;
    case kDmaOff:
      return f.trusted_dma_at;
    case kFreeMetadata:
    case kReset:
      return f.metadata;
  }
  return {};
}

/// R2. A wrong order shows with its second event: `then` came, and later `first`.
/// A finding therefore waits for `first`, so that it can name both; what never
/// comes is reported at the end.
class TeardownRule final : public Rule {
 public:
  explicit TeardownRule(const TeardownOrder& order) : order_(order) {}

  void on_fact(const Event& event, Judgement& judge) override;
  void on_refusal(const Event& event, Judgement& judge) override;
  void finish(Judgement& judge) override;

 private:
  struct Waiting {
    Bdf function;
    TeardownStep missing;
    TeardownStep came;
    std::uint64_t came_seq;
    Violation violation;
  };

  void wait_for(Waiting waiting);
  void vm_died(const Event& event, Judgement& judge);
  void complete(const Event& event, TeardownStep step, Judgement& judge);

  const TeardownOrder& order_;
  std::map<std::uint32_t, Violation> refused_unmap_;  ///< by task: the last one
  std::vector<Waiting> waiting_;
};

std::string sentence(std::string_view tsm, Bdf bdf, TeardownStep came, TeardownStep missing) {
  return fmt::format("{}: {} before {} ({} order)", bdf.str(), step_text(came), step_text(missing),
                     tsm);
}

void TeardownRule::wait_for(Waiting waiting) {
  const bool known = std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiting& w) {
    return w.function == waiting.function && w.missing == waiting.missing && w.came == waiting.came;
  });
  if (!known) waiting_.push_back(std::move(waiting));
}

void TeardownRule::on_fact(const Event& event, Judgement& judge) {
  if (event.fact == Fact::kVmDead) return vm_died(event, judge);
  if (!event.function) return;
  if (event.fact == Fact::kStreamBlocked) return complete(event, kStop, judge);
  const FunctionWorld& f = judge.world().function(*event.function);
  const auto step = stopped_unheard(f, event) ? kStop : step_of(event.fact);
  if (!step) return;
  for (const OrderedPair& pair : order_.pairs) {
    if (pair.then != *step || !outstanding(pair.first, f, order_)) continue;
    const std::string what = sentence(order_.tsm, *event.function, *step, pair.first);
    wait_for({.function = *event.function,
              .missing = pair.first,
              .came = *step,
              .came_seq = event.seq,
              .violation = judge.draft(RuleId::kR2, event, what, {reason(pair.first, f)})});
  }
  complete(event, *step, judge);
}

void TeardownRule::on_refusal(const Event& event, Judgement& judge) {
  if (order_.unmap_call.empty() || event.name != order_.unmap_call) return;
  refused_unmap_[event.task] = judge.draft(RuleId::kR2, event, {}, {});
}

/// The firmware did its part and refused, so no forbidden state was reached in
/// the secure table; but the order was wrong all the same, and it cost the VM.
void TeardownRule::vm_died(const Event& event, Judgement& judge) {
  const auto refused = refused_unmap_.find(event.task);
  if (refused == refused_unmap_.end()) return;
  Violation violation = std::move(refused->second);
  refused_unmap_.erase(refused);
  const FunctionWorld* guilty = nullptr;
  Bdf bdf;
  for (const auto& [at, f] : judge.world().functions()) {
    if (f.metadata_vm != event.vm || !outstanding(kStop, f, order_) || !f.last_blocked.happened())
      continue;
    if (guilty != nullptr && guilty->last_blocked.seq > f.last_blocked.seq) continue;
    guilty = &f;
    bdf = at;
  }
  if (guilty == nullptr || !order_.ordered(kStop, kUnmap)) return;
  violation.what =
      fmt::format("{}, and VM {} died of it", sentence(order_.tsm, bdf, kUnmap, kStop), event.vm);
  const std::uint64_t refused_seq = violation.events.front().seq;
  violation.events.insert(violation.events.begin(), guilty->locked_at.evidence());
  violation.events.push_back(Evidence::of(event));
  wait_for({.function = bdf,
            .missing = kStop,
            .came = kUnmap,
            .came_seq = refused_seq,
            .violation = std::move(violation)});
}

void TeardownRule::complete(const Event& event, TeardownStep step, Judgement& judge) {
  // An unmapped page is the step only when it was the last one.
  if (step == kUnmap && judge.world().function(*event.function).private_pages.size() > 1) return;
  for (Waiting& w : waiting_) {
    if (w.function != *event.function || w.missing != step) continue;
    w.violation.what += fmt::format(": [{}] before [{}]", w.came_seq, event.seq);
    w.violation.events.push_back(Evidence::of(event));
    judge.report(std::move(w.violation));
  }
  std::erase_if(waiting_, [&](const Waiting& w) {
    return w.function == *event.function && w.missing == step;
  });
}

void TeardownRule::finish(Judgement& judge) {
  for (Waiting& w : waiting_) {
    w.violation.events.push_back({0, fmt::format("never: {}", step_text(w.missing))});
    judge.report(std::move(w.violation));
  }
  waiting_.clear();
}

}  // namespace

const TeardownOrder kTdxOrder{.tsm = "tdx", .pairs = kTdxPairs, .unmap_call = "TDH.MMIO.UNMAP"};
const TeardownOrder kCcaOrder{.tsm = "cca", .pairs = kCcaPairs, .unmap_call = ""};
const TeardownOrder kSevOrder{
    .tsm = "sev", .pairs = kSevPairs, .force_is_stop = true, .unmap_call = ""};

const TeardownOrder kNoOrder{.tsm = "none", .pairs = {}, .unmap_call = ""};

bool TeardownOrder::ordered(TeardownStep first, TeardownStep then) const {
  return std::any_of(pairs.begin(), pairs.end(), [&](const OrderedPair& pair) {
    return pair.first == first && pair.then == then;
  });
}

const TeardownOrder& teardown_order(std::string_view tsm) {
  for (const TeardownOrder* order : {&kTdxOrder, &kCcaOrder, &kSevOrder})
    if (order->tsm == tsm) return *order;
  return kNoOrder;
}

std::string_view step_text(TeardownStep step) {
  switch (step) {
    case kStop:
      return "the TDI was stopped";
    case kUnmap:
      return "private MMIO was unmapped";
    case kDmaOff:
      return "trusted DMA was turned off";
    case kFreeMetadata:
      return "the TDI's metadata was freed";
    case kReset:
      return "the function was reset";
  }
  return "?";
}

std::unique_ptr<Rule> make_teardown_rule(const TeardownOrder& order) {
  return std::make_unique<TeardownRule>(order);
}

}  // namespace teeio::rules
