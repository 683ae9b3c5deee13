#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "explore/footprint.h"
#include "explore/strategy.h"

namespace teeio::explore {

/// Every schedule, depth first, the one without preemption first. With sleep
/// sets an order is skipped when it differs from one already seen only in
/// moves that commute(); at least one of each such class is still run to its
/// end, so the verdicts are the same.
///
/// Source of sleep sets: P. Godefroid, "Partial-Order Methods for the
/// Verification of Concurrent Systems", LNCS 1032, chapter 5.
class DepthFirst final : public Strategy {
 public:
  enum class Reduction : std::uint8_t { kNone, kSleepSets };
  static constexpr std::uint32_t kMaxTasks = 64;  ///< one bit each in a node's masks

  explicit DepthFirst(Reduction reduction) : reduction_(reduction) {}

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;
  void told(std::uint64_t stories) override { add_stories(stories, touched_); }
  void touched(Touch touch) override { touched_.push_back(touch); }

 private:
  struct Node {
    Choice::Kind kind;
    std::uint32_t chosen;
    std::uint64_t open;   ///< tasks that could move, or alternatives left as a count
    std::uint64_t done;   ///< tasks tried before `chosen`
    std::uint64_t sleep;  ///< tasks whose move here was tried in an equivalent place
    std::map<std::uint32_t, Footprints::Number> left = {};  ///< by tasks that were tried
  };
  /// The last move is over, and so is what it told and touched.
  void settle();
  Node& node_at_depth(Choice::Kind kind, std::uint64_t open);
  [[nodiscard]] static bool advance(Node& node);

  const Reduction reduction_;
  bool started_ = false;
  std::vector<Node> path_;
  std::size_t depth_ = 0;
  std::uint64_t sleep_ = 0;  ///< of the present moment
  std::map<std::uint32_t, Footprints::Number> sleep_left_;
  std::size_t last_ = 0;  ///< the last move's node, plus one; 0: none
  Footprints footprints_;
  std::vector<Touch> touched_;
};

}  // namespace teeio::explore
