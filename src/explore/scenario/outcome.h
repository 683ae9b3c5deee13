#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "object/trace.h"

namespace teeio::machine {
class Machine;
}

namespace teeio::explore {

/// From now on each schedule's outcome is written to `into`, when its threads have ended; null:
/// no more. For the one OS thread of an explored process, between two runs.
void watch_outcomes(std::string* into);
[[nodiscard]] std::string* watched_outcome();

/// What a schedule of a scenario comes to, as far as its programs, the rules and its end can
/// tell: what each task did and was answered, with the bytes of it, what was told of each function
/// and each VM in its order, and the machine's census. Two orders that differ only in moves that
/// commute have the same: no address, and nothing that counts events, is in it.
///
/// Lifetime: of one schedule; what it was made from outlives it.
class OutcomeSink final : public object::TraceSink {
 public:
  explicit OutcomeSink(std::string& into);

  /// All threads are through, and have left the machine so.
  void close(machine::Machine& machine);

  void on_event(const object::Event& event) override;
  void on_outcome(const object::Event& event) override;

 private:
  void note(const object::Event& event, std::string_view what);
  void answered(ByteView bytes);

  std::string& into_;
  std::map<std::string, std::string> seen_;  ///< by task, function and VM
  bool is_closed_ = false;
};

}  // namespace teeio::explore
