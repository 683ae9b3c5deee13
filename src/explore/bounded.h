#pragma once

#include <cstdint>
#include <vector>

#include "explore/strategy.h"

namespace teeio::explore {

/// Every schedule with at most so many preemptions (a task is left that could
/// have gone on), those with fewer first. Other switches are free. Most
/// concurrency bugs need one or two.
///
/// Source: M. Musuvathi, S. Qadeer, "Iterative Context Bounding for Systematic
/// Testing of Multithreaded Programs", PLDI 2007.
class PreemptionBounded final : public Strategy {
 public:
  explicit PreemptionBounded(std::uint32_t most_preemptions) : most_(most_preemptions) {}

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;

 private:
  struct Node {
    std::uint32_t chosen;
    std::uint32_t count;
    bool preempts;        ///< any but the first alternative costs a preemption
    std::uint32_t spent;  ///< preemptions before
  };
  [[nodiscard]] bool advance(Node& node) const;
  [[nodiscard]] std::uint32_t decide(std::uint32_t count, bool preempts);

  const std::uint32_t most_;
  std::uint32_t bound_ = 0;  ///< of this round, which repeats the rounds before it
  bool started_ = false;
  std::vector<Node> path_;
  std::size_t depth_ = 0;
  std::uint32_t spent_ = 0;
};

}  // namespace teeio::explore
