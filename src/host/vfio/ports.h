#pragma once

#include "base/bytes.h"
#include "hw/physical_memory.h"

namespace teeio::vfio {

/// vfio_pci_core_do_io_rw() to an I/O BAR: naturally aligned writes, of 4 bytes where they are.
void write_ports(hw::MmioTarget& ports, std::uint64_t at, ByteView bytes);

}  // namespace teeio::vfio
