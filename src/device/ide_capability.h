#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "hw/config_space.h"

namespace teeio::device {

/// An end point's IDE extended capability: selective streams only, one address
/// association block each. Source: PCIe Base Spec 7.9.26; register layout checked
/// against Linux include/uapi/linux/pci_regs.h, PCI_IDE_*.
///
/// Lifetime: `config` outlives it. Locking: the card's lock.
class IdeCapability {
 public:
  /// Adds the capability to `config`. Precondition: 1 <= slots <= 8.
  IdeCapability(hw::ConfigSpace& config, unsigned slots);

  [[nodiscard]] unsigned slots() const { return slots_; }
  /// The lowest slot whose control register names `stream_id`. Before software
  /// wrote any, all name 0.
  [[nodiscard]] std::optional<unsigned> slot_of(std::uint8_t stream_id) const;
  [[nodiscard]] std::uint8_t stream_id(unsigned slot) const;
  /// Software has set Selective IDE Stream Enable.
  [[nodiscard]] bool enabled(unsigned slot) const;
  /// Hardware's Selective IDE Stream State: Secure or Insecure.
  void set_secure(unsigned slot, bool secure);
  [[nodiscard]] bool secure(unsigned slot) const;

  /// Conventional reset: control and association registers are zero.
  void reset();

  /// Whether a config access to `offset` touches this capability.
  [[nodiscard]] bool contains(std::uint16_t offset) const;
  /// All registers behind the header, as QUERY_RESP reports them.
  [[nodiscard]] std::vector<std::uint32_t> registers() const;

 private:
  [[nodiscard]] std::uint16_t block(unsigned slot, unsigned reg) const;

  hw::ConfigSpace& config_;
  const unsigned slots_;
  std::uint16_t offset_;
};

}  // namespace teeio::device
