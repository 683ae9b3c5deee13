#pragma once

#include <array>

#include "hw/pci_function.h"

namespace teeio::hw::test {

/// A function without registers, for what it does by DMA.
class DmaCard final : public PciFunction {
 public:
  static constexpr Bdf kBdf{.domain = 0, .bus = 0, .device = 2, .function = 0};

  [[nodiscard]] Bdf bdf() const override { return kBdf; }
  std::uint32_t config_read(std::uint16_t, unsigned) override { return 0; }
  void config_write(std::uint16_t, unsigned, std::uint32_t) override {}
  [[nodiscard]] const std::array<Bar, kBarCount>& bars() const override { return bars_; }
  void reset(ResetKind) override {}
  [[nodiscard]] PciFunction* physical_function() override { return nullptr; }
  void attach(DmaPort& port) override { dma = &port; }
  DmaPort* dma = nullptr;

 private:
  const std::array<Bar, kBarCount> bars_{};
};

}  // namespace teeio::hw::test
