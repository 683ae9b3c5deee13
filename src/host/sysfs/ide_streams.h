#pragma once

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// The streams of each host bridge: available_secure_streams, streamH.R.E, and the same link
/// below the TSM that set the stream up. Source: Linux drivers/pci/ide.c,
/// pci_ide_stream_register(); drivers/virt/coco/tsm-core.c, tsm_ide_stream_register();
/// Documentation/ABI/testing/sysfs-devices-pci-host-bridge, sysfs-class-tsm.
void add_ide_streams(NodeList& list, const Environment& environment, const Topology& topology);

}  // namespace teeio::sysfs
