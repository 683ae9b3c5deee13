#pragma once

#include <cstdint>

#include "hw/config_space.h"
#include "hw/dma.h"
#include "hw/pci_function.h"

namespace teeio::hw {

/// A function's INTA: its pin, its Interrupt Status bit, and the messages that stand for the
/// wire. The level is up while there are causes, the function may speak, and software has not
/// set Interrupt Disable.
/// Source: PCIe Base Spec 6.1.2, 7.5.1.1.3, 7.5.1.1.4.
///
/// Lifetime: within the function that owns `config`. Locking: the owner's; the
/// port is called with it held.
class Intx {
 public:
  /// Writes the pin register.
  explicit Intx(ConfigSpace& config);

  void attach(DmaPort& port, std::uint16_t rid);
  /// What the function wants to tell, a bit each. update() says it.
  void raise(std::uint32_t causes) { causes_ |= causes; }
  void acknowledge(std::uint32_t causes) { causes_ &= ~causes; }
  [[nodiscard]] std::uint32_t causes() const { return causes_; }
  /// After anything that the level depends on; `speaks`: no message interrupts are on, and the
  /// function is in D0.
  void update(bool speaks);
  /// No causes; Interrupt Disable was cleared with the command register.
  void reset();

 private:
  void set_level(bool asserted);

  ConfigSpace& config_;
  DmaPort* port_ = nullptr;
  std::uint16_t rid_ = 0;
  std::uint32_t causes_ = 0;
  bool asserted_ = false;
};

/// The number of the host's interrupt that a function's pin arrives at: the root port's, after
/// the swizzle of PCI-to-PCI Bridge Spec 9.1; 0 without a pin.
/// Source: Linux drivers/pci/irq.c, pci_swizzle_interrupt_pin(). That the four lines of bus 0
/// are 16 to 19 is this machine's choice, as on common PCs.
[[nodiscard]] std::uint32_t intx_irq(PciFunction& function);

}  // namespace teeio::hw
