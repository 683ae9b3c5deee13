#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entry/system_calls.h"
#include "run/fd.h"
#include "schedule/mutex.h"

namespace teeio::run {

/// Whether a resolved absolute path is ours to answer: below
/// /dev/iommu, /dev/kvm, /dev/vfio or a folder of /sys that the machine answers for.
class VirtualPrefixes {
 public:
  enum class Kvm : std::uint8_t { kEmulated, kHost };
  /// `devices`: SystemCalls::platform_devices().
  VirtualPrefixes(Kvm kvm, std::vector<std::string> devices)
      : kvm_(kvm), devices_(std::move(devices)) {}
  [[nodiscard]] bool contain(std::string_view path) const;

 private:
  const Kvm kvm_;
  const std::vector<std::string> devices_;
};

/// The flag (O_NOATIME) by which a directory that is only named is told from one that is open;
/// a directory that a program opens does not get it.
inline constexpr std::uint32_t kHandleMark = 01000000;

/// The machine's /dev and /sys as real directories, links and empty files on a
/// tmpfs, so that getdents, readdir order, d_type and "..", which run natively
/// on a directory descriptor, show what the machine has. A directory is filled when somebody
/// first asks for it by name: a large machine has hundreds of thousands of files.
///
/// Lifetime: the directory is removed with the object; one that a killed teeio
/// left behind is removed by the next run of the same user.
/// Locking: its own; sync() asks the machine under one of rank kSupervisor.
class PrivateTree {
 public:
  /// Makes it below `tmpfs`. Errors: as mkdir(2).
  static Result<std::unique_ptr<PrivateTree>> create(const std::string& tmpfs,
                                                     entry::SystemCalls& machine);
  ~PrivateTree();

  /// Follows the machine when its tree has changed. Takes no time otherwise.
  /// Precondition: the caller holds no lock.
  void sync();

  using Node = entry::SystemCalls::Node;
  /// The node at a virtual path, the path's own symlink not followed. From here on it is there
  /// as a real file, and a directory with all that is in it.
  [[nodiscard]] std::optional<Node> find(std::string_view path) TEEIO_EXCLUDES(mutex_);
  /// Opens the real file behind a virtual path. Errors: as open(2).
  Result<Fd> open(const std::string& path, std::uint32_t flags);
  /// What stands for a virtual path that was opened with O_PATH. The kernel hands no
  /// O_PATH file to another process in a trapped call: a directory is opened for
  /// reading, anything else as an empty file that can neither be read nor written (open(2),
  /// access mode 3) and has the path's name behind kHandles. Errors: as open(2).
  /// `flags`: what the program gave, of which O_DIRECTORY and O_NOFOLLOW are kept.
  Result<Fd> open_handle(const Node& node, std::uint32_t flags);
  /// Whether a path that /proc shows is one of these files; directories are told by kHandleMark.
  [[nodiscard]] bool is_handle(std::string_view real) const;
  /// A path that /proc shows for a file in here, as the program's virtual path.
  [[nodiscard]] std::optional<std::string> virtual_path(std::string_view real) const;
  [[nodiscard]] int root() const { return root_.get(); }

 private:
  PrivateTree(std::string directory, Fd root, Fd lock, entry::SystemCalls& machine);
  [[nodiscard]] bool is_current(std::uint64_t generation) TEEIO_EXCLUDES(mutex_);
  using Nodes = std::map<std::string, Node, std::less<>>;
  void make_locked(const Node& node) TEEIO_REQUIRES(mutex_);
  void make_way(std::string path) TEEIO_EXCLUDES(mutex_);
  void fill_locked(const std::string& directory) TEEIO_REQUIRES(mutex_);
  void add_locked(const Node& node) TEEIO_REQUIRES(mutex_);
  void remove_locked(const Node& node) TEEIO_REQUIRES(mutex_);

  const std::string directory_;
  const Fd root_;
  const Fd lock_;  ///< flock()ed: somebody uses the directory
  entry::SystemCalls& machine_;
  schedule::Mutex sync_mutex_{schedule::Rank::kSupervisor};  ///< one sync() at a time
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::uint64_t generation_ TEEIO_GUARDED_BY(mutex_) = 0;
  bool filled_ TEEIO_GUARDED_BY(mutex_) = false;
  Nodes nodes_ TEEIO_GUARDED_BY(mutex_);
  std::set<std::string, std::less<>> made_ TEEIO_GUARDED_BY(mutex_);  ///< real files
  std::set<std::string, std::less<>> full_ TEEIO_GUARDED_BY(mutex_);  ///< real directories
};

}  // namespace teeio::run
