#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/pci_tsm/ide.h"
#include "hw/pci_function.h"
#include "schedule/monitor.h"
#include "schedule/raw_lock.h"

namespace teeio::tsm {

/// A selective IDE stream between a card and its root port, from its allocation on. Source:
/// Linux include/linux/pci-ide.h, struct pci_ide.
struct IdeStream {
  StreamEnd endpoint, port;
  std::uint16_t domain = 0;
  unsigned bridge_index = 0;  ///< in the host bridge's pool
  std::uint8_t id = 0;        ///< as TLPs carry it, once registered
  std::string name;           ///< "streamH.R.E", once registered
  std::optional<std::uint32_t> tsm;
};

/// The IDE streams of a machine: which indices of host bridges, root ports and end points are
/// taken, which stream ids, and what sysfs shows of it. Source: Linux drivers/pci/ide.c, the
/// function of each method is named there.
///
/// Lifetime: PciTsm's. A stream lives from alloc() to release().
/// Locking: streams change under pci_tsm_rwsem (write); readers of links() and available()
/// come without it. The lock here is no scheduling point.
class IdeStreams {
 public:
  /// Of a host bridge: pci_ide_init_host_bridge().
  static constexpr unsigned kPool = 256;
  static constexpr std::uint8_t kReservedId = 255;

  /// pci_ide_init(): streams that are enabled already keep their block and their id, idle
  /// blocks get the reserved one.
  void arrive(hw::PciFunction& function);
  /// pci_ide_destroy().
  void leave(Bdf bdf);
  /// pci_ide_set_nr_streams(): fewer than kPool for a host bridge whose platform says so.
  void set_pool(std::uint16_t domain, unsigned streams);

  /// pci_ide_stream_alloc(): the first free index of the host bridge and of both functions;
  /// the root port's end has the card's requesters and the windows of the bridge above it,
  /// the end point's the root port and no addresses.
  /// Errors: ENOMEM when one of the three has none, or no IDE (Linux leaves the errno to the
  /// driver).
  Result<IdeStream*> alloc(hw::PciFunction& pf0, hw::PciFunction& root_port);
  /// pci_ide_stream_register(): the link below the host bridge. Errors: EBUSY another stream
  /// of the host bridge has the id, or it is the reserved one.
  Result<void> enter(IdeStream& stream, std::uint8_t id);
  /// tsm_ide_stream_register(): the link below tsmN.
  void enter_tsm(IdeStream& stream, std::uint32_t tsm);
  /// pci_ide_stream_release(): undoes what was done of all the above and of both ends.
  void release(IdeStream& stream);

  struct Link {
    std::string name;
    Bdf endpoint;
    std::uint16_t domain = 0;
    std::optional<std::uint32_t> tsm;
  };
  /// In the order in which they were allocated.
  [[nodiscard]] std::vector<Link> links() const;
  /// available_secure_streams; nullopt: the pool is empty and the attribute hidden.
  [[nodiscard]] std::optional<unsigned> available(std::uint16_t domain) const;

 private:
  struct Bridge {
    unsigned pool = kPool;
    std::set<unsigned> indices = {};
    std::set<std::uint8_t> ids = {kReservedId};
  };
  [[nodiscard]] unsigned free_index(const Bridge& bridge, Bdf port) const;

  /// Explored, what the present move does to what lock_ guards.
  void reads() const { turn_.touch(0, schedule::Touch::How::kRead); }
  void writes() const { turn_.touch(0, schedule::Touch::How::kWrite); }

  const schedule::Turn turn_{"IDE streams"};
  mutable schedule::RawLock lock_;
  std::map<std::uint16_t, Bridge> bridges_;  ///< by domain
  std::map<Bdf, std::set<unsigned>> blocks_;
  std::list<IdeStream> streams_;
};

}  // namespace teeio::tsm
