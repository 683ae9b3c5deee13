#pragma once

#include <signal.h>

#include <array>
#include <vector>

#include "run/fd.h"

namespace teeio::run {

/// What a supervisor changes in its own process, for the time of one run:
/// signals, the standard descriptors, and who inherits orphans.
///
/// Lifetime: made before the fork; the child gives its program the state that
/// teeio itself was started with.
class ProcessState {
 public:
  ProcessState();
  ~ProcessState();
  ProcessState(const ProcessState&) = delete;
  ProcessState& operator=(const ProcessState&) = delete;

  /// In the child, before exec: async-signal-safe.
  void restore_signals() const;
  /// SIGCHLD and the signals that are passed on; blocked in all our threads.
  [[nodiscard]] static sigset_t waited_signals();

 private:
  /// Ignored or handled here, whatever teeio was started with.
  static constexpr std::array kChanged = {SIGBUS, SIGPIPE, SIGCHLD};

  sigset_t original_mask_{};
  std::array<struct sigaction, kChanged.size()> original_{};
  std::vector<Fd> placeholders_;
};

}  // namespace teeio::run
