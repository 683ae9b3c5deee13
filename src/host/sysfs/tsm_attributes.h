#pragma once

#include <string>

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds `tsm/` and `authenticated`, as far as they are visible now: to a PF0 with
/// IDE or TEE-I/O while there is a TSM (connect, disconnect, dsm; bound if it has
/// TEE-I/O), and to the other functions of a connected card (dsm, bound).
/// Source: Linux drivers/pci/tsm.c, pci_tsm_attr_visible(). What writes answer is
/// tsm::PciTsm's.
void add_tsm(NodeList& list, const Environment& environment, const Topology& topology,
             const Host::Function& function, const std::string& directory);

}  // namespace teeio::sysfs
