#pragma once

#include "host/sysfs/host.h"
#include "host/sysfs/ide_streams.h"
#include "host/sysfs/settings.h"
#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// /sys and /dev of one machine: derives the whole tree from the machine when it
/// is first looked at, and again after each change. A machine that nobody looks
/// at so costs nothing, which is what an explored run lives on.
///
/// Lifetime: outlives every open attribute; `host` outlives it.
/// Locking: a leaf of its own; tree() and refresh() are called without any lock.
class System {
 public:
  explicit System(Host& host);
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  /// Makes the tree follow the machine. Attributes that change it do so by
  /// themselves; machine/ calls it when a TSM comes or goes, or a function leaves
  /// in another way. Without any lock.
  void refresh() TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] Tree& tree() TEEIO_EXCLUDES(mutex_);
  /// Directories of /sys beyond those of every machine: those of its TSMs, and debugfs where
  /// the kernel has fault injection.
  [[nodiscard]] std::vector<std::string> platform_devices();
  /// Whether /dev/kvm is there, without a look at the tree.
  [[nodiscard]] bool has_kvm() { return host_.shows_kvm(); }

 private:
  void build();
  void add_classes(NodeList& list);
  void add_groups(NodeList& list, const Topology& topology);
  void add_vfio_groups(NodeList& list, const Topology& topology);
  void add_iommus(NodeList& list, const Topology& topology);
  void add_devices(NodeList& list, const Topology& topology);

  Host& host_;
  Settings settings_;
  IdeStreams streams_;
  Tree tree_;
  const Environment environment_;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  bool built_ TEEIO_GUARDED_BY(mutex_) = false;
  std::uint64_t changes_ TEEIO_GUARDED_BY(mutex_) = 0;  ///< before it was built
};

}  // namespace teeio::sysfs
