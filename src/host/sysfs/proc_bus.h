#pragma once

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds /proc/bus/pci: `devices`, and each function's configuration space by its bus.
/// Source: Linux drivers/pci/proc.c.
void add_proc_bus(NodeList& list, const Environment& environment, const Topology& topology);

}  // namespace teeio::sysfs
