#pragma once

#include "explore/strategy.h"

namespace teeio::explore {

/// Runs one schedule again from its choices. After the last one it goes on
/// without preemption. A choice that is not possible fails a check.
class Replay final : public Strategy {
 public:
  explicit Replay(Choices choices) : choices_(std::move(choices)) {}

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;

 private:
  [[nodiscard]] const Choice* next(Choice::Kind kind);

  const Choices choices_;
  std::size_t at_ = 0;
  bool started_ = false;
};

}  // namespace teeio::explore
