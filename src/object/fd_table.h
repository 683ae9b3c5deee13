#pragma once

#include <map>

#include "base/result.h"
#include "object/file.h"
#include "schedule/mutex.h"

namespace teeio::object {

/// The descriptors of an in-process caller (the explorer, the embedding API).
/// Under `teeio run` the real process has the numbers and run/ keeps the map.
///
/// Locking: its own lock, rank kFdTable; never held during release(). A look-up
/// only reads, as Linux's does under RCU: two of them commute.
class FdTable {
 public:
  static constexpr int kMaxFds = 1024;  ///< RLIMIT_NOFILE's usual soft limit

  /// The lowest free number. Errors: EMFILE.
  Result<int> install(Ref<File> file) TEEIO_EXCLUDES(mutex_);
  /// Errors: EBADF.
  Result<Ref<File>> get(int fd) TEEIO_EXCLUDES(mutex_);
  /// A second number for the same file. Errors: EBADF, EMFILE.
  Result<int> dup(int fd) TEEIO_EXCLUDES(mutex_);
  /// Errors: EBADF.
  Result<void> close(int fd) TEEIO_EXCLUDES(mutex_);
  /// Closes everything in ascending order, as the end of a process does.
  void close_all() TEEIO_EXCLUDES(mutex_);

 private:
  schedule::RwMutex mutex_{schedule::Rank::kFdTable};
  std::map<int, Ref<File>> files_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::object
