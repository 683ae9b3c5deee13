#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "hw/pci_function.h"

namespace teeio::vfio {

/// A function's expansion ROM, decoded for as long as this lives; memory space must be on for
/// anything to be read. Source: Linux drivers/pci/rom.c, pci_map_rom() and pci_unmap_rom().
///
/// Locking: the caller's: two of one function at a time switch it off for each other.
class MappedRom {
 public:
  /// Precondition: the function has a ROM.
  explicit MappedRom(hw::PciFunction& function);
  ~MappedRom();
  MappedRom(const MappedRom&) = delete;
  MappedRom& operator=(const MappedRom&) = delete;

  /// pci_get_rom_size(): how long its images are; 0: there is none.
  [[nodiscard]] std::uint64_t size() const;
  /// Precondition: within the ROM.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  template <class T>
  [[nodiscard]] T get(std::uint64_t offset) const;

  hw::PciFunction& function_;
  const hw::Bar& rom_;
};

/// pci_read_rom(): what of the images lies there; 0: nothing. Errors: EIO there is none.
Result<std::size_t> read_images(hw::PciFunction& function, std::uint64_t offset,
                                std::span<std::byte> out);

}  // namespace teeio::vfio
