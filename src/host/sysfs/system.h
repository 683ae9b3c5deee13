#pragma once

#include <cstdint>

#include "host/sysfs/host.h"
#include "host/sysfs/settings.h"
#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::sysfs {

/// /sys and /dev of one machine: derives the whole tree from the machine when it is
/// looked at for the first time, and for the first time after a change. A machine that
/// nobody looks at so costs nothing, which is what an explored run lives on.
///
/// Lifetime: outlives every open attribute; `host` outlives it.
/// Locking: refresh() takes none, and two of them commute (schedule::Turn); whatever looks at
/// the tree is called without any lock.
class System {
 public:
  explicit System(Host& host);
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  /// The machine has changed: the next look makes the tree follow. Attributes that
  /// change it call this by themselves; machine/ does when a TSM comes or goes, or a
  /// function leaves in another way.
  void refresh() TEEIO_EXCLUDES(raw_);
  [[nodiscard]] Tree& tree() { return tree_; }
  /// What there is beyond every machine's tree: directories of its TSMs, debugfs where the kernel
  /// has fault injection, and vendors' nodes of /dev.
  [[nodiscard]] std::vector<std::string> platform_devices();
  /// Whether /dev/kvm is there, without a look at the tree.
  [[nodiscard]] bool has_kvm() { return host_.shows_kvm(); }

 private:
  /// The tree is as the machine was when this was called, or later.
  void follow() TEEIO_EXCLUDES(raw_);
  void build();
  void add_classes(NodeList& list);
  void add_groups(NodeList& list, const Topology& topology);
  void add_vfio_groups(NodeList& list, const Topology& topology);
  void add_iommus(NodeList& list, const Topology& topology);
  void add_devices(NodeList& list, const Topology& topology);

  Host& host_;
  Settings settings_;
  Tree tree_;
  const Environment environment_;
  const schedule::Turn turn_{"sysfs"};
  schedule::RawLock raw_;
  std::uint64_t changes_ TEEIO_GUARDED_BY(raw_) = 1;   ///< of the machine
  std::uint64_t followed_ TEEIO_GUARDED_BY(raw_) = 0;  ///< of those, as the tree has them
};

}  // namespace teeio::sysfs
