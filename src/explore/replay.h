#pragma once

#include <string_view>

#include "explore/strategy.h"

namespace teeio::explore {

/// What the check says that a choice fails which is not possible.
inline constexpr std::string_view kMisfit = "the choices to replay do not fit this program";

/// Runs one schedule again from its choices. After the last one it goes on
/// without preemption. A choice that is not possible fails a check.
class Replay final : public Strategy {
 public:
  explicit Replay(Choices choices) : choices_(std::move(choices)) {}

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;

  /// The run came to its end before all choices were made.
  [[nodiscard]] bool is_left_over() const { return at_ < choices_.size(); }

 private:
  [[nodiscard]] const Choice* next(Choice::Kind kind);

  const Choices choices_;
  std::size_t at_ = 0;
  bool started_ = false;
};

}  // namespace teeio::explore
