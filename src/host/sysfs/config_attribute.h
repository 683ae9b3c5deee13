#pragma once

#include <string>

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds `path`, `config` in a function's directory: the function's configuration space as the host
/// sees it, past VFIO. Writes act, whoever uses the function: Linux guards them by nothing, so on a
/// bound TDI they have TDISP's consequence. One that changes a register of a bound function is
/// traced as Fact::kHostTouched. Source: Linux drivers/pci/pci-sysfs.c, pci_read_config(),
/// pci_write_config().
void add_config(NodeList& list, const Environment& environment, const std::string& path,
                hw::PciFunction& function);
/// `directory`/doe_features: what the mailbox's discovery has named; nothing without one.
/// Source: pci_doe_sysfs_init().
void add_doe_features(NodeList& list, const Environment& environment, const std::string& directory,
                      Bdf bdf);

}  // namespace teeio::sysfs
