#pragma once

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds the class "pci_bus": a device for each bus, below the bridge that leads to it.
/// Source: Linux drivers/pci/pci-sysfs.c, pcibus_groups; drivers/pci/probe.c,
/// pci_alloc_child_bus().
void add_bus_class(NodeList& list, const Environment& environment, const Topology& topology);

}  // namespace teeio::sysfs
