#pragma once

#include "host/sysfs/host.h"
#include "host/sysfs/ide_streams.h"
#include "host/sysfs/settings.h"
#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// /sys and /dev of one machine: derives the whole tree from the machine, and
/// again after each change.
///
/// Lifetime: outlives every open attribute; `host` outlives it.
class System {
 public:
  explicit System(Host& host);
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  /// Makes the tree follow the machine. Attributes that change it do so by
  /// themselves; machine/ calls it when a TSM comes or goes, or a function leaves
  /// in another way. Without any lock.
  void refresh();
  [[nodiscard]] Tree& tree() { return tree_; }
  [[nodiscard]] const Tree& tree() const { return tree_; }

 private:
  void add_classes(NodeList& list);
  void add_groups(NodeList& list, const Topology& topology);
  void add_iommus(NodeList& list, const Topology& topology);
  void add_devices(NodeList& list, const Topology& topology);

  Host& host_;
  Settings settings_;
  IdeStreams streams_;
  Tree tree_;
  const Environment environment_;
};

}  // namespace teeio::sysfs
