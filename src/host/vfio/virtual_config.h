#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "host/vfio/config_capabilities.h"
#include "hw/pci_function.h"

namespace teeio::vfio {

/// The configuration space that a program has of a device: which registers are its own
/// copy, which bits it may write, and which capabilities it does not see. A hidden
/// capability is out of the list only; its registers, as all that belong to no capability,
/// are read and written as they are.
/// Source: Linux drivers/vfio/pci/vfio_pci_config.c, vdev->vconfig and pci_config_map.
///
/// Lifetime: a device's; empty until a program has opened the device.
/// Locking: which register is whose is settled by init(). The copy is its owner's to
/// guard: everything but chunk(), owner(), start(), is_raw() and is_writable().
class VirtualConfig {
 public:
  explicit VirtualConfig(hw::PciFunction& function) : function_(function) {}

  /// vfio_config_init(): reads the device's registers and walks both lists.
  void init();

  /// How many bytes of `left` at `at` are one access: aligned, of one owner.
  [[nodiscard]] unsigned chunk(std::uint16_t at, std::size_t left) const;
  [[nodiscard]] ConfigRule::Owner owner(std::uint16_t at) const { return bytes_[at].owner; }
  /// Where the capability that has `at` begins.
  [[nodiscard]] std::uint16_t start(std::uint16_t at) const { return bytes_[at].start; }
  [[nodiscard]] bool is_raw(std::uint16_t at) const { return bytes_[at].raw; }
  [[nodiscard]] bool is_writable(std::uint16_t at, unsigned size) const;

  /// What a program reads: one chunk.
  [[nodiscard]] std::uint32_t read(std::uint16_t at, unsigned size) const;
  /// Takes a program's write into the copy. What the device is to be written, if
  /// anything; not for raw registers.
  [[nodiscard]] std::optional<std::uint32_t> write(std::uint16_t at, unsigned size,
                                                   std::uint32_t value);

  /// The copy itself.
  [[nodiscard]] std::uint32_t copy(std::uint16_t at, unsigned size) const;
  void set_copy(std::uint16_t at, unsigned size, std::uint32_t value);

 private:
  struct Byte {
    std::uint8_t copy = 0, kept = 0, writable = 0;
    bool raw = true;
    ConfigRule::Owner owner = ConfigRule::Owner::kNobody;
    std::uint16_t start = 0;
  };

  template <std::uint8_t Byte::* Member>
  [[nodiscard]] std::uint32_t gather(std::uint16_t at, unsigned size) const;
  /// Gives `bytes` bytes at `at` to a capability, the copy filled from the device.
  void claim(std::uint16_t at, unsigned bytes, const ConfigRule& rule);
  void add_capabilities();
  void add_extended_capabilities();
  void fix_header();
  /// vfio_bar_fixup(): the copy's BARs as hardware would have them after a write.
  void fix_bars();
  [[nodiscard]] std::uint32_t device(std::uint16_t at, unsigned size) const {
    return function_.config_read(at, size);
  }

  hw::PciFunction& function_;
  std::vector<Byte> bytes_;
};

}  // namespace teeio::vfio
