#pragma once

#include <sys/types.h>

#include <vector>

namespace teeio::sweep {

/// All descendants of this process, while it is itself stopped: those of a sweep are in sessions
/// of their own, where the ^Z of its terminal does not reach them.
class StoppedDescendants {
 public:
  /// Stops those that are not stopped yet, and whom they make meanwhile.
  void stop();
  /// Lets those go on.
  void let_go_on();

 private:
  std::vector<pid_t> stopped_;  ///< parents first
};

}  // namespace teeio::sweep
