#pragma once

#include <compare>
#include <map>
#include <vector>

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"
#include "schedule/mutex.h"

namespace teeio::sysfs {

/// The streams of a host bridge: available_secure_streams and streamH.R.E.
/// Source: Linux drivers/pci/ide.c, pci_ide_stream_register();
/// Documentation/ABI/testing/sysfs-devices-pci-host-bridge.
///
/// H is the lowest number of the host bridge's pool that was free when the stream
/// appeared, R and E the register blocks of root port and end point.
/// Locking: a leaf.
class IdeStreams {
 public:
  void add(NodeList& list, const Environment& environment, const Topology& topology)
      TEEIO_EXCLUDES(mutex_);

 private:
  struct Stream {
    Bdf port;
    std::size_t port_block;
    Bdf endpoint;
    unsigned endpoint_block;
    auto operator<=>(const Stream&) const = default;
  };
  static std::vector<Stream> enabled(Host& host, const Topology& topology);
  /// Keeps the numbers of streams that are still there, and numbers new ones.
  std::map<Stream, unsigned> number(const std::vector<Stream>& streams) TEEIO_EXCLUDES(mutex_);

  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<Stream, unsigned> numbers_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::sysfs
