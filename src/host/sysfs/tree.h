#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/sysfs/node.h"
#include "schedule/mutex.h"

namespace teeio::sysfs {

/// All nodes of /sys and /dev that a machine shows, in order of path.
///
/// Lifetime: outlives the files that are open on its attributes.
/// Locking: a leaf, which looks share; no callback runs under it. Looks are made without any lock.
class Tree {
 public:
  /// Calls `follow` before each look, which brings the tree up to date by replace().
  /// Before the first look.
  void before_looks(std::function<void()> follow) { follow_ = std::move(follow); }
  /// Numbers a view of the machine: to be taken before the view is read, so that
  /// of two views that cross, the later one stays.
  [[nodiscard]] std::uint64_t begin_view() TEEIO_EXCLUDES(mutex_);
  /// Makes `nodes` the tree, unless a view with a higher number is there.
  /// Preconditions: paths are unique; the parent of each node below a node of
  /// `nodes` is a directory.
  void replace(std::uint64_t view, std::vector<Node> nodes) TEEIO_EXCLUDES(mutex_);

  /// Grows whenever the tree changes.
  [[nodiscard]] std::uint64_t generation() const TEEIO_EXCLUDES(mutex_);
  /// In order of path: parents before children.
  [[nodiscard]] std::vector<Node> nodes() const TEEIO_EXCLUDES(mutex_);
  /// The node at an absolute path without symlinks.
  [[nodiscard]] std::optional<Node> find(std::string_view path) const TEEIO_EXCLUDES(mutex_);
  /// The path to which an absolute path leads, symlinks followed; nullopt when it
  /// leads nowhere or out of the tree.
  [[nodiscard]] std::optional<std::string> resolve(std::string_view path) const
      TEEIO_EXCLUDES(mutex_);

 private:
  using Nodes = std::map<std::string, Node, std::less<>>;
  void follow() const {
    if (follow_) follow_();
  }

  std::function<void()> follow_;
  mutable schedule::RwMutex mutex_{schedule::Rank::kLeaf};
  Nodes nodes_ TEEIO_GUARDED_BY(mutex_);
  std::uint64_t generation_ TEEIO_GUARDED_BY(mutex_) = 0;
  std::uint64_t last_view_ TEEIO_GUARDED_BY(mutex_) = 0;
  std::uint64_t applied_view_ TEEIO_GUARDED_BY(mutex_) = 0;
};

/// Collects nodes for Tree::replace().
class NodeList {
 public:
  void directory(std::string path);
  /// `to` is absolute; the link itself is relative.
  void link(std::string path, std::string_view to);
  /// A text attribute; `mode` is permission bits only.
  void text(std::string path, std::uint32_t mode, Attribute::Show show, Attribute::Store store = {},
            Attribute::IsThere is_there = {});
  void binary(std::string path, std::uint32_t mode, std::uint64_t size, Attribute::Read read,
              Attribute::Write write, Attribute::Map map = {}, Attribute::Unmap unmap = {});
  void device(std::string path, std::uint32_t mode, std::uint32_t major, std::uint32_t minor);
  [[nodiscard]] std::vector<Node> take() { return std::move(nodes_); }

 private:
  std::vector<Node> nodes_;
};

/// What readlink(2) gives for a link at `from` that leads to `to`, both absolute.
/// Source: Linux fs/sysfs/symlink.c, kernfs_get_target_path().
[[nodiscard]] std::string relative_target(std::string_view from, std::string_view to);

}  // namespace teeio::sysfs
