#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "explore/coverage.h"
#include "machine/config.h"
#include "object/trace.h"

namespace teeio::explore {

/// From now on the explored parts of schedules are noted in `into`; null: nobody notes.
/// For the one OS thread of an explored process, between two runs.
void watch_coverage(Coverage* into);
[[nodiscard]] Coverage* watched_coverage();

/// Reads a machine's events, and notes in a Coverage what was reached while another task
/// was between the beginning and the end of a call.
///
/// Lifetime: of one schedule; what it was made from outlives it. Of those alive the last one
/// that was made hears of choices.
class CoverageSink final : public object::TraceSink {
 public:
  explicit CoverageSink(Coverage& into);
  ~CoverageSink() override;
  CoverageSink(const CoverageSink&) = delete;
  CoverageSink& operator=(const CoverageSink&) = delete;

  /// All threads are through: what the end does is nobody's call.
  void stop() { is_over_ = true; }

  void on_event(const object::Event& event) override;
  void on_outcome(const object::Event& event) override;

 private:
  struct Open {
    std::uint64_t seq;
    CoveredKind kind;
    std::string name;
  };
  struct Task {
    std::vector<Open> calls;  ///< in progress, the outermost first
    bool has_failed = false;  ///< a step of the outermost one
  };

  Task& task(std::uint32_t number);
  void note(std::uint32_t number, CoveredKind kind, std::string_view name);
  [[nodiscard]] bool others_are_in_calls(std::uint32_t number) const;
  void on_choice(std::string_view what, std::uint32_t chosen);

  Coverage& into_;
  std::vector<Task> tasks_;
  bool is_over_ = false;
};

/// "tsm/connect" of "/sys/devices/…/0000:01:00.0/tsm/connect"; the path below /sys of what
/// belongs to no function.
[[nodiscard]] std::string attribute_name(std::string_view path);

/// What programs can do on these designs, as rows that nobody has reached: ioctls that are
/// supported, attributes that can be written, commands of the firmware and messages to
/// devices. Of failures and undo only what was met is known.
[[nodiscard]] std::vector<Covered> what_can_be_reached(std::span<const machine::Config> designs);

}  // namespace teeio::explore
