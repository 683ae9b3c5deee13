#pragma once

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds a function's directory below /sys/devices, as Linux 7.3 shows it under
/// vfio-pci, and the links of /sys/bus/pci that lead there.
/// Source: Linux drivers/pci/pci-sysfs.c; modes and texts were compared with a
/// running kernel.
void add_function(NodeList& list, const Environment& environment, const Topology& topology,
                  const Host::Function& function);

}  // namespace teeio::sysfs
