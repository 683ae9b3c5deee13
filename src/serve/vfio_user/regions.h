#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "hw/pci_function.h"
#include "serve/vfio_user/irq_lines.h"

namespace teeio::vfio_user {

/// A function's VFIO regions: BARs 0 to 5, 6, the expansion ROM, and 7, config space.
///
/// Accesses of any size become the naturally aligned ones that a processor makes. Config
/// space is the device's own, but for MSI and MSI-X's control, which SET_IRQS drives, and a VF's
/// BAR registers: it has none (PCIe Base Spec 9.3.4.1.11), the client's software needs some, so
/// they are kept here as Linux's vfio-pci keeps them (vfio_bar_fixup()).
///
/// Lifetime: the function's. Locking: the session's task.
class Regions {
 public:
  Regions(hw::PciFunction& function, IrqLines& irqs);

  /// Bytes of a region; 0: there is none. Precondition: index < kRegions.
  [[nodiscard]] std::uint64_t size(std::uint32_t index) const;

  /// Errors: EINVAL: no such region, or not all of it lies inside. Memory space that is off
  /// reads as ones, as on the bus.
  Result<void> read(std::uint32_t index, std::uint64_t offset, std::span<std::byte> out);
  Result<void> write(std::uint32_t index, std::uint64_t offset, ByteView in);

  /// The function was reset by the client: a VF's BAR registers hold no address.
  void forget_bars();

 private:
  Result<void> check(std::uint32_t index, std::uint64_t offset, std::uint64_t size) const;
  [[nodiscard]] std::uint32_t config_read(std::uint16_t offset, unsigned size_bytes);
  void config_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value);
  void read_rom(std::uint64_t offset, std::span<std::byte> out);
  [[nodiscard]] bool is_msi(std::uint16_t offset) const;
  [[nodiscard]] std::uint32_t msi_copy(std::uint16_t offset, unsigned size_bytes) const;
  void write_msi(std::uint16_t offset, unsigned size_bytes, std::uint32_t value);
  void bar_read(const hw::Bar& bar, std::uint64_t offset, std::span<std::byte> out);
  void bar_write(const hw::Bar& bar, std::uint64_t offset, ByteView in);
  /// How much of an access lies on one side of the MSI-X table, and whether within.
  struct Part {
    std::uint64_t size;
    bool table;
  };
  [[nodiscard]] Part part_of(std::uint32_t index, std::uint64_t offset, std::uint64_t size) const;
  [[nodiscard]] bool is_virtual_bar(std::uint16_t offset) const;

  hw::PciFunction& function_;
  IrqLines& irqs_;
  const bool virtual_bars_;
  const std::uint16_t express_;
  Bytes msi_;                                             ///< the client's copy of those registers
  std::array<std::uint32_t, hw::kBarCount> bars_{};       ///< a VF's registers
  std::array<std::uint32_t, hw::kBarCount> bar_masks_{};  ///< their address bits
};

}  // namespace teeio::vfio_user
