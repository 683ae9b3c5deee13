#pragma once

#include <cstdint>

#include "device/bar_targets.h"
#include "device/endpoint.h"
#include "device/plain_memory.h"
#include "schedule/monitor.h"

namespace teeio::device {

/// A card without TEE-I/O: one function with one BAR of 64 KiB plain memory, no
/// DSM, no DOE, no DMA. What a host must not take for a TDI.
/// docs/devices/plain-card.md is its data sheet.
///
/// Lifetime: owned by its machine. Locking: own lock, rank kDevice.
class PlainCard final {
 public:
  static constexpr std::uint16_t kVendorId = 0x1efe;  ///< not assigned in pci.ids
  static constexpr std::uint16_t kDeviceId = 0x0e00;
  static constexpr std::uint64_t kBarBytes = 64 * 1024;

  /// `window`: where BAR0 is, aligned to its size.
  PlainCard(object::Trace& trace, Bdf bdf, Hpa window) : function_(trace, lock_, bdf, window) {}
  [[nodiscard]] hw::PciFunction& function() { return function_; }

 private:
  class Function final : public Endpoint {
   public:
    Function(object::Trace& trace, schedule::Monitor& lock, Bdf bdf, Hpa window);
    [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }

   private:
    void apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override;
    void on_reset(hw::ResetKind kind) override;

    PlainMemory memory_{kBarBytes};
    schedule::Word<bool> enabled_{true};
    PlainMemoryTarget target_{memory_, enabled_, std::nullopt, hw::TBit::kShared};
  };

  schedule::Monitor lock_{schedule::Rank::kDevice};
  Function function_;
};

}  // namespace teeio::device
