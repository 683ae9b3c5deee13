#include "explore/shard.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "explore/dpor.h"
#include "explore/kept.h"
#include "explore/session.h"
#include "schedule/controller.h"

namespace teeio::explore {
namespace {

std::uint64_t digest_of(const std::vector<Dpor::Deviation>& parts) {
  std::uint64_t digest = 0xcbf29ce484222325ULL;
  const auto add = [&digest](std::uint64_t word) { digest = (digest ^ word) * 0x100000001b3ULL; };
  for (const Dpor::Deviation& part : parts) {
    add(part.depth);
    add(std::to_underlying(part.kind));
    add(part.value);
  }
  return digest;
}

/// What `now` has more than `before`.
PartResult difference(std::uint64_t part, const ScenarioResult& before, const ScenarioResult& now) {
  return {.part = part,
          .schedules = now.schedules - before.schedules,
          .pruned = now.pruned - before.pruned,
          .points = now.points - before.points};
}

class Parts {
 public:
  Parts(const Scenario& scenario, const Options& options, const Shard& shard,
        const std::vector<PartResult>& before,
        const std::function<void(const ShardResult&)>& on_part)
      : session_(scenario, options, dpor_),
        answers_(scenario.answers),
        shard_(shard),
        before_(before),
        on_part_(on_part) {
    session_.share_done = [this] {
      return shard_result_.parts == 0
                 ? 0.0
                 : static_cast<double>(at_) / static_cast<double>(shard_result_.parts);
    };
  }

  ShardResult run() {
    Session::Stop stop = first();
    if (stop == Session::Stop::kNone) stop = others();
    const ScenarioResult run_now = session_.finish(stop);
    shard_result_.result = run_now;
    count_before();
    return std::move(shard_result_);
  }

 private:
  [[nodiscard]] bool is_mine(std::uint64_t part) const {
    return part % shard_.count == shard_.index;
  }
  [[nodiscard]] const PartResult* done_before(std::uint64_t part) const {
    const auto at = std::ranges::find_if(
        before_, [part](const PartResult& p) { return p.part == part && p.exhausted; });
    return at == before_.end() ? nullptr : &*at;
  }

  /// The first schedule, which every shard runs to see the parts.
  Session::Stop first() {
    session_.count_answers(is_mine(0) && done_before(0) == nullptr);
    const Session::Stop stop = session_.step();
    session_.count_answers(true);
    const std::vector<Dpor::Deviation> parts = dpor_.deviations();
    shard_result_.parts = parts.size() + 1;
    shard_result_.partition = digest_of(parts);
    deviations_ = parts;
    if (is_mine(0) && done_before(0) == nullptr) {
      PartResult part = difference(0, {}, session_.result());
      part.exhausted = stop == Session::Stop::kNone;
      note(part);
    }
    return stop;
  }

  Session::Stop others() {
    for (at_ = 1; at_ < shard_result_.parts; ++at_) {
      if (!is_mine(at_)) continue;
      if (const PartResult* done = done_before(at_); done != nullptr) {
        shard_result_.done.push_back(*done);
        continue;
      }
      const ScenarioResult before = session_.result();
      dpor_.restrict_to(deviations_[at_ - 1]);
      const Session::Stop stop = session_.run();
      PartResult part = difference(at_, before, session_.result());
      part.exhausted = stop == Session::Stop::kExhausted;
      note(part);
      if (!part.exhausted) return stop;
    }
    return Session::Stop::kExhausted;
  }

  void note(const PartResult& part) {
    shard_result_.done.push_back(part);
    if (!on_part_) return;
    shard_result_.result = session_.result();
    if (answers_) shard_result_.result.answers = answers_->calls();
    on_part_(shard_result_);
  }

  /// The sums are those of the parts: earlier ones included, and the first
  /// schedule only if it is this shard's.
  void count_before() {
    if (const PartResult* done = done_before(0); done != nullptr && is_mine(0))
      shard_result_.done.insert(shard_result_.done.begin(), *done);
    ScenarioResult& sum = shard_result_.result;
    sum.schedules = 0;
    sum.pruned = 0;
    sum.points = 0;
    for (const PartResult& part : shard_result_.done) {
      sum.schedules += part.schedules;
      sum.pruned += part.pruned;
      sum.points += part.points;
    }
  }

  Dpor dpor_;
  Session session_;
  const std::shared_ptr<Answers> answers_;
  const Shard& shard_;
  const std::vector<PartResult>& before_;
  const std::function<void(const ShardResult&)>& on_part_;
  std::vector<Dpor::Deviation> deviations_;
  std::uint64_t at_ = 0;
  ShardResult shard_result_;
};

/// A share of the schedules of a random strategy.
ShardResult run_random(const Scenario& scenario, Options options, const Shard& shard) {
  options.first = shard.index;
  options.stride = shard.count;
  options.max_schedules = std::max<std::uint64_t>(1, options.max_schedules / shard.count);
  ShardResult result;
  result.result = run_scenario(scenario, options);
  if (shard.count > 1) result.result.warnings.clear();
  result.parts = shard.count;
  result.partition = options.seed;
  result.done.push_back({.part = shard.index,
                         .schedules = result.result.schedules,
                         .pruned = 0,
                         .points = result.result.points,
                         .exhausted = !result.result.failure.has_value()});
  return result;
}

}  // namespace

ShardResult run_shard(const Scenario& scenario, const Options& options, const Shard& shard,
                      const std::vector<PartResult>& before,
                      const std::function<void(const ShardResult&)>& on_part) {
  TEEIO_CHECK(schedule::controller() == nullptr, "an exploration is started within a run");
  TEEIO_CHECK(shard.index < shard.count, "a shard's number is not below their count");
  // run_scenario() runs them for random strategies.
  KeptRuns kept;
  if (options.strategy == StrategyKind::kDpor) kept = run_kept(scenario, options);
  if (kept.found) {
    ShardResult found;
    found.result = std::move(*kept.found);
    return found;
  }
  if (options.strategy == StrategyKind::kDpor) {
    ShardResult result = Parts(scenario, options, shard, before, on_part).run();
    result.result.warnings = std::move(kept.warnings);
    // merge() sees the answers of all.
    if (shard.count == 1) result.result.warn_of_what_is_vacuous();
    return result;
  }
  TEEIO_CHECK(options.strategy == StrategyKind::kPct || options.strategy == StrategyKind::kRandom,
              "this strategy cannot be shared");
  return run_random(scenario, options, shard);
}

}  // namespace teeio::explore
