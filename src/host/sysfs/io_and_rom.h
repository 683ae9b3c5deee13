#pragma once

#include <string>

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"
#include "hw/pci_function.h"

namespace teeio::sysfs {

/// `resourceN` of an I/O BAR: ports are read and written, 1, 2 or 4 bytes at a time.
/// Source: Linux drivers/pci/pci-sysfs.c, pci_resource_io(), which asks nobody: an access that
/// reaches a bound function is traced as Fact::kHostTouched. x86 maps none of it.
void add_io_bar(NodeList& list, const Environment& environment, const std::string& path, Bdf bdf,
                const hw::Bar& bar);

/// `rom` of a function that has one: its images can be read after "1" was written.
/// Source: Linux drivers/pci/pci-sysfs.c, pci_write_rom(), pci_read_rom().
void add_rom(NodeList& list, const Environment& environment, const std::string& directory,
             hw::PciFunction& function);

}  // namespace teeio::sysfs
