#pragma once

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds /sys/module of the modules that this machine's kernel has loaded: VFIO's and
/// iommufd's. Their parameters are as they were at boot; changing one is refused with EPERM.
/// Source: Linux kernel/module/sysfs.c and main.c, kernel/params.c.
void add_modules(NodeList& list, const Environment& environment);

}  // namespace teeio::sysfs
