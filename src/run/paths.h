#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "run/device_files.h"
#include "run/private_tree.h"
#include "run/tasks.h"

namespace teeio::run {

/// Where a path of the program leads.
struct Place {
  enum class Kind : std::uint8_t {
    /// Nowhere of ours: the kernel goes on. A link in /proc that was not followed but
    /// leads into the tree (a descriptor, a working directory) has its target in `path`.
    kHost,
    kVirtual,     ///< `path`, which may or may not exist in the tree
    kDescriptor,  ///< /proc/<pid>/fd/<n> of one of our files: `file`
    /// `path` of the host, named relative to a directory of the tree: the kernel would
    /// look for it below the private directory.
    kElsewhere,
  } kind = Kind::kHost;
  std::string path;
  DeviceFileRef file;
  /// Of kHost: the path of a file of a process in /proc that may be ours to answer.
  std::string process_file = {};
};

enum class Follow : std::uint8_t { kYes, kNo };

/// Resolves what the program names: root, working directory or directory
/// descriptor, "..", and every symbolic link, its own and ours, before anybody
/// looks for a virtual prefix.
class Paths {
 public:
  Paths(Tasks& tasks, PrivateTree& tree, const VirtualPrefixes& prefixes)
      : tasks_(tasks), tree_(tree), prefixes_(prefixes) {}

  /// `dir` as the *at() calls take it. `follow`: whether a symbolic link as the
  /// last component is followed; "link/" and "link/." follow it always and want a
  /// directory (path_resolution(7)). `limits`: RESOLVE_* of openat2(2), which has said that they
  /// make sense. Errors (of virtual paths only): ENOTDIR, ELOOP; EXDEV by `limits`.
  Result<Place> resolve(pid_t tid, int dir, const std::string& path, Follow follow,
                        std::uint64_t limits = 0);
  /// What `fd` is: a directory of the tree, one of our files, or the host's.
  [[nodiscard]] Place descriptor(pid_t tid, int fd);
  [[nodiscard]] bool is_virtual(std::string_view path) const { return prefixes_.contain(path); }

 private:
  [[nodiscard]] std::optional<std::string> base_of(pid_t tid, int dir) const;
  [[nodiscard]] bool is_plain_host_path(const std::string& path, Follow follow) const;
  friend class Walk;

  Tasks& tasks_;
  PrivateTree& tree_;
  const VirtualPrefixes& prefixes_;
};

}  // namespace teeio::run
