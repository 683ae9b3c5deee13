#pragma once

#include <string>

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds a PF's sriov_* and virtfnN, or a VF's physfn. Source: Linux
/// drivers/pci/iov.c. The number of VFs is fixed at boot: vfio-pci without
/// enable_sriov refuses a change with ENOENT.
void add_sriov(NodeList& list, const Environment& environment, const Topology& topology,
               const Host::Function& function, const std::string& directory);

}  // namespace teeio::sysfs
