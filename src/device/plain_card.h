#pragma once

#include <cstdint>
#include <optional>

#include "device/bar_targets.h"
#include "device/endpoint.h"
#include "device/io_ports.h"
#include "device/plain_memory.h"
#include "schedule/monitor.h"

namespace teeio::device {

/// A card without TEE-I/O: one function with one BAR of 64 KiB plain memory, no
/// DSM, no DOE, no DMA. What a host must not take for a TDI. It may have an I/O BAR and an
/// expansion ROM.
/// docs/devices/plain-card.md is its data sheet.
///
/// Lifetime: owned by its machine. Locking: own lock, rank kDevice.
class PlainCard final {
 public:
  static constexpr std::uint16_t kVendorId = 0x1efe;  ///< not assigned in pci.ids
  static constexpr std::uint16_t kDeviceId = 0x0e00;
  static constexpr std::uint64_t kBarBytes = 64 * 1024;
  static constexpr std::uint8_t kIoBar = 2;

  struct Options {
    Bdf bdf;
    Hpa window{0};                ///< where BAR0 is, aligned to its size
    std::optional<Hpa> io{};      ///< BAR2: the first of IoPorts::kPorts
    Hpa rom{0};                   ///< as Endpoint::Options has it
    std::uint64_t rom_bytes = 0;  ///< likewise
  };
  PlainCard(object::Trace& trace, const Options& options) : function_(trace, lock_, options) {}
  [[nodiscard]] hw::PciFunction& function() { return function_; }

 private:
  class Function final : public Endpoint {
   public:
    Function(object::Trace& trace, schedule::Monitor& lock, const PlainCard::Options& options);
    [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }

   private:
    void apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override;
    void on_reset(hw::ResetKind kind) override;

    PlainMemory memory_{kBarBytes};
    schedule::Word<bool> enabled_{true};
    PlainMemoryTarget target_{memory_, enabled_, std::nullopt, hw::TBit::kShared};
    schedule::Word<bool> io_enabled_{true};
    IoPorts ports_{memory_, io_enabled_};
  };

  schedule::Monitor lock_{schedule::Rank::kDevice};
  Function function_;
};

}  // namespace teeio::device
