#pragma once

#include <cstdint>

#include "hw/config_space.h"
#include "hw/dma.h"

namespace teeio::hw {

inline constexpr std::uint8_t kCapabilityMsi = 0x05;

/// A function's MSI: the capability, with a 64-bit address and a mask bit a vector. Messages
/// leave as 4-byte memory writes through the DmaPort, the vector in the low bits of the data.
/// They have T=0 always: TDISP locks an MSI-X table and knows no lock of these registers.
/// Source: PCIe Base Spec 6.1.4, 7.7.1.
///
/// Lifetime: within the function that owns `config`. Locking: the owner's; the
/// port is called with it held.
class Msi {
 public:
  static constexpr unsigned kMaxVectors = 32;

  /// Adds the capability. Precondition: a power of two, 1 to kMaxVectors.
  Msi(ConfigSpace& config, unsigned vectors);

  void attach(DmaPort& port, std::uint16_t rid);
  /// Whether memory requests may be sent at all, as Msix::allow().
  void allow(bool sending) { allowed_ = sending; }
  /// To be called after a configuration write was applied: sends what was pending and is
  /// masked no more.
  void registers_written();

  /// The device's own event `event`. Events share the last vector if software gave fewer
  /// than there are. A masked vector becomes pending; nothing happens while MSI is off.
  void fire(unsigned event);
  [[nodiscard]] bool enabled() const;
  /// As at power-on.
  void reset();

 private:
  [[nodiscard]] std::uint16_t at(unsigned offset) const {
    return static_cast<std::uint16_t>(offset_ + offset);
  }
  [[nodiscard]] unsigned granted() const;
  void send(unsigned vector);

  ConfigSpace& config_;
  const unsigned vectors_;
  const std::uint16_t offset_;
  DmaPort* port_ = nullptr;
  std::uint16_t rid_ = 0;
  bool allowed_ = true;
};

}  // namespace teeio::hw
