#pragma once

#include <optional>
#include <string_view>

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// A write to `rescan`: what was removed is found again and probed, on the bus of `bus` and below,
/// or with nullopt on every bus.
Result<void> store_rescan(const Environment& environment, std::string_view text,
                          std::optional<Bdf> bus);
/// device_attach(): a function without driver goes to the first that wants it; vfio-pci
/// does when it was told to, the driver of the card's own kind when nobody was.
void probe_function(const Environment& environment, const Host::Function& function);

/// Adds /sys/bus/pci: its drivers with bind, unbind, new_id and remove_id,
/// drivers_probe and drivers_autoprobe. The links to functions come from
/// add_function(). Source: Linux drivers/base/bus.c, drivers/pci/pci-driver.c.
void add_pci_bus(NodeList& list, const Environment& environment, const Topology& topology);

}  // namespace teeio::sysfs
