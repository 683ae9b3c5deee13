#pragma once

#include <string>

#include "host/sysfs/host.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// `irq`, and `msi_irqs` with a file an interrupt, as long as the driver has them.
/// Source: Linux drivers/pci/pci-sysfs.c, irq_show(); kernel/irq/msi.c,
/// msi_device_populate_sysfs().
void add_interrupts(NodeList& list, const Host::Function& function, const std::string& directory);

}  // namespace teeio::sysfs
