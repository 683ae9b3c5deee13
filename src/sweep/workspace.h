#pragma once

#include <string>

#include "base/fd.h"

namespace teeio::sweep {

/// The folder below $TMPDIR that has all runs' temporary files. It goes with the sweep; one
/// whose sweep was killed goes when the next begins.
///
/// Lifetime: a sweep's, which holds a lock on its folder (flock(2)) that no program of a run
/// inherits. A folder without such a lock has no sweep any more.
class Workspace {
 public:
  /// Removes what sweeps of this user left behind, and makes a new one. path() is empty if
  /// none can be made.
  Workspace();
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Fd lock_;
  std::string path_;
};

}  // namespace teeio::sweep
