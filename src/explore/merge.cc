#include <algorithm>
#include <map>
#include <set>

#include "explore/saved.h"

namespace teeio::explore {
namespace {

using Verdict = ScenarioResult::Verdict;

std::string shard_name(std::uint64_t index, std::uint64_t count) {
  return std::to_string(index) + '/' + std::to_string(count);
}

const ShardResult* find(const Saved& shard, const std::string& name) {
  for (const ShardResult& s : shard.scenarios)
    if (s.result.name == name) return &s;
  return nullptr;
}

std::string mismatch(std::span<const Saved> shards) {
  if (shards.empty()) return "there is nothing to merge";
  std::vector<bool> seen(shards[0].shard.count, false);
  for (const Saved& s : shards) {
    if (s.strategy != shards[0].strategy || s.failures != shards[0].failures ||
        s.shard.count != shards[0].shard.count || s.wanted != shards[0].wanted)
      return "shard " + shard_name(s.shard.index, s.shard.count) +
             " is of another exploration: strategy, failures, shards and scenarios must agree";
    if (s.shard.index >= seen.size() || seen[s.shard.index])
      return "shard " + shard_name(s.shard.index, s.shard.count) + " is there twice";
    seen[s.shard.index] = true;
  }
  return {};
}

/// One scenario of all shards.
class Union {
 public:
  Union(const std::string& name, std::uint64_t count) : count_(count) { result_.name = name; }

  /// False when it is divided otherwise than in the shards before.
  bool add(const ShardResult& shard) {
    if (parts_.empty()) {
      parts_.resize(shard.parts, 0);
      partition_ = shard.partition;
    }
    if (shard.parts != parts_.size() || shard.partition != partition_) return false;
    for (const PartResult& part : shard.done) count(part);
    const ScenarioResult& r = shard.result;
    result_.expected = r.expected;
    add_answers(result_.answers, r.answers);
    for (const std::string& warning : r.warnings)
      if (std::ranges::find(result_.warnings, warning) == result_.warnings.end())
        result_.warnings.push_back(warning);
    result_.seconds += r.seconds;
    if (r.has_own_bound()) result_.bound = r.bound;
    if (!r.failure) return true;
    const bool shorter = !result_.failure || r.failure->switches < result_.failure->switches;
    if (shorter) result_.failure = r.failure;
    return true;
  }

  /// `absent`: shards that lack all of it; the rest is for judge() to find.
  void judge(const std::set<std::uint64_t>& absent, std::vector<std::string>& gaps) {
    std::map<std::uint64_t, std::uint64_t> missing;  // by shard
    for (std::uint64_t part = 0; part < parts_.size(); ++part) {
      if (parts_[part] == 0) ++missing[part % count_];
      if (parts_[part] > 1)
        gaps.push_back(result_.name + ": part " + std::to_string(part) + " was run twice");
    }
    if (result_.failure) {
      result_.verdict = Verdict::kFound;  // which ends a scenario: what is left does not matter
      result_.judge();
      return;
    }
    for (const auto& [shard, parts] : missing) {
      if (absent.contains(shard)) continue;
      gaps.push_back(result_.name + ": shard " + shard_name(shard, count_) + " lacks " +
                     std::to_string(parts) + " of " + std::to_string(parts_.size()) + " parts" +
                     (result_.bound.empty() ? "; resume it" : ", by its bound"));
    }
    result_.verdict =
        missing.empty() && result_.bound.empty() ? Verdict::kExhausted : Verdict::kBounded;
    if (!missing.empty() && result_.bound.empty()) result_.bound = "parts are missing";
    result_.judge();
    if (gaps.empty()) result_.warn_of_what_is_vacuous();
  }

  [[nodiscard]] const ScenarioResult& result() const { return result_; }

 private:
  void count(const PartResult& part) {
    result_.schedules += part.schedules;
    result_.pruned += part.pruned;
    result_.points += part.points;
    if (part.exhausted && part.part < parts_.size()) ++parts_[part.part];
  }

  const std::uint64_t count_;
  ScenarioResult result_;
  std::vector<std::uint64_t> parts_;  // how often each was run to its end
  std::uint64_t partition_ = 0;
};

}  // namespace

std::expected<Merged, std::string> merge(std::span<const Saved> shards) {
  if (std::string why = mismatch(shards); !why.empty()) return std::unexpected(std::move(why));
  Merged merged;
  const std::uint64_t count = shards[0].shard.count;
  std::set<std::uint64_t> missing;
  for (std::uint64_t index = 0; index < count; ++index) {
    if (std::ranges::any_of(shards, [&](const Saved& s) { return s.shard.index == index; }))
      continue;
    missing.insert(index);
    merged.gaps.push_back("shard " + shard_name(index, count) + " is missing");
  }
  for (const std::string& name : shards[0].wanted) {
    Union all(name, count);
    bool begun = false;
    std::set<std::uint64_t> absent = missing;  // their gap has been named
    for (const Saved& shard : shards) {
      const ShardResult* mine = find(shard, name);
      if (mine == nullptr) {
        merged.gaps.push_back(name + ": shard " + shard_name(shard.shard.index, count) +
                              " did not begin it; resume it");
        absent.insert(shard.shard.index);
        continue;
      }
      begun = true;
      if (!all.add(*mine))
        return std::unexpected(name + ": the shards do not divide it alike: different programs");
    }
    if (!begun) continue;
    all.judge(absent, merged.gaps);
    merged.scenarios.push_back(all.result());
  }
  return merged;
}

}  // namespace teeio::explore
