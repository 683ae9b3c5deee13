#pragma once

#include <sys/types.h>

#include <set>

namespace teeio::run {

/// Which inodes of one file system other processes hold, by descriptor or
/// mapping, as /proc shows it: what is left to ask when inotify lost events.
/// A descriptor that is in flight over a socket does not show.
class OpenScan {
 public:
  explicit OpenScan(dev_t device);
  [[nodiscard]] bool contains(ino_t inode) const { return inodes_.contains(inode); }

 private:
  void scan_process(pid_t pid, dev_t device);
  std::set<ino_t> inodes_;
};

}  // namespace teeio::run
