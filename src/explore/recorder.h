#pragma once

#include <cstdint>
#include <vector>

#include "explore/strategy.h"

namespace teeio::explore {

/// A turn of one task in a schedule: so many moves at a stretch.
struct Turn {
  std::uint32_t task;
  std::uint64_t moves;
};

/// Another strategy's schedules, with what was decided written down. Replay is
/// the usual inner one: a pruned run is not asked to its end.
class Recorder final : public Strategy {
 public:
  explicit Recorder(Strategy& inner) : inner_(inner) {}

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;
  void stuck(std::span<const Candidate> waiting) override { inner_.stuck(waiting); }
  void pruned(std::span<const Candidate> waiting) override { inner_.pruned(waiting); }
  void told(std::uint64_t stories) override { inner_.told(stories); }
  void touched(Touch touch) override { inner_.touched(touch); }

  /// Of the present or last run.
  [[nodiscard]] const std::vector<Turn>& turns() const { return turns_; }
  [[nodiscard]] const std::vector<std::uint32_t>& alternatives() const { return alternatives_; }
  /// Turns that began while the task before could have gone on.
  [[nodiscard]] std::uint64_t preemptions() const { return preemptions_; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  Strategy& inner_;
  std::vector<Turn> turns_;
  std::vector<std::uint32_t> alternatives_;
  std::uint64_t preemptions_ = 0;
  std::uint64_t failures_ = 0;
};

/// One schedule, given as turns and alternatives, that bends where it does not
/// fit: a turn ends when its task cannot move, and after the last one the run
/// goes on without preemption and without failures.
class Guided final : public Strategy {
 public:
  Guided(const std::vector<Turn>& turns, const std::vector<std::uint32_t>& alternatives)
      : turns_(turns), alternatives_(alternatives) {}

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;

 private:
  const std::vector<Turn>& turns_;
  const std::vector<std::uint32_t>& alternatives_;
  std::size_t turn_ = 0;
  std::uint64_t moved_ = 0;
  std::size_t alternative_ = 0;
  bool started_ = false;
};

}  // namespace teeio::explore
