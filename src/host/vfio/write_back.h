#pragma once

#include <cstdint>

#include "hw/pci_function.h"

namespace teeio::vfio {

/// Writes a saved register back, if it differs: what a reset has left alone is not touched.
/// Source: Linux drivers/pci/pci.c, pci_restore_config_dword().
inline void write_back(hw::PciFunction& function, std::uint16_t offset, unsigned size_bytes,
                       std::uint32_t saved) {
  if (function.config_read(offset, size_bytes) != saved)
    function.config_write(offset, size_bytes, saved);
}

}  // namespace teeio::vfio
