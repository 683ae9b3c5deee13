#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "hw/config_space.h"
#include "hw/dma.h"

namespace teeio::hw {

inline constexpr std::uint8_t kCapabilityMsix = 0x11;

/// A function's MSI-X: capability, table and pending bits. The owner routes its
/// config space and the BAR that holds table and PBA here; messages leave as
/// 4-byte memory writes through the DmaPort.
/// Source: PCIe Base Spec 6.1.4, 7.7.2.
///
/// Lifetime: within the function that owns `config`. Locking: the owner's; the
/// port is called with it held.
class Msix {
 public:
  static constexpr std::uint16_t kEntryBytes = 16;
  static constexpr std::uint16_t kMaxVectors = 2048;

  struct Layout {
    std::uint16_t vectors = 1;  ///< 1–2048
    std::uint8_t table_bar = 0;
    std::uint32_t table_offset = 0;  ///< in its BAR, 8-byte aligned
    std::uint8_t pba_bar = 0;
    std::uint32_t pba_offset = 0;
  };
  /// Adds the capability.
  Msix(ConfigSpace& config, const Layout& layout);

  [[nodiscard]] std::uint16_t offset() const { return offset_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }

  /// Where messages go and how they are marked: T=1 for a TDI in RUN whose
  /// table was locked (TDISP 11.2.2), else T=0.
  void attach(DmaPort& port, std::uint16_t rid);
  void set_traffic(TBit t) { t_ = t; }
  /// Whether memory requests may be sent at all (Bus Master Enable, D0). While not, what is
  /// pending stays so.
  void allow(bool sending) { allowed_ = sending; }

  /// An access to BAR `bar` at `offset`: true when it touched table or PBA, which
  /// then have done their part of it. Bytes of neither are left alone.
  bool bar_read(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> out) const;
  bool bar_write(std::uint8_t bar, std::uint64_t offset, ByteView in);
  /// To be called after a configuration write was applied: sends what was pending
  /// under the function mask.
  void registers_written();

  /// The device's own event. Sends the message; a masked vector becomes pending;
  /// nothing happens while MSI-X is off. Precondition: vector < vectors.
  void fire(std::uint16_t vector);
  [[nodiscard]] bool pending(std::uint16_t vector) const { return pending_[vector]; }
  [[nodiscard]] bool enabled() const;
  /// The table is masked and nothing pends; control is as at power-on.
  void reset();

 private:
  struct Entry {
    std::uint64_t address = 0;
    std::uint32_t data = 0;
    std::uint32_t control = kMasked;
  };
  static constexpr std::uint32_t kMasked = 1;

  [[nodiscard]] bool masked(std::uint16_t vector) const;
  [[nodiscard]] std::byte table_byte(std::uint64_t at) const;
  [[nodiscard]] std::byte pba_byte(std::uint64_t at) const;
  void set_table_byte(std::uint64_t at, std::byte value);
  void send_unmasked();
  void send(std::uint16_t vector);

  ConfigSpace& config_;
  const Layout layout_;
  const std::uint16_t offset_;
  DmaPort* port_ = nullptr;
  std::uint16_t rid_ = 0;
  TBit t_ = TBit::kShared;
  bool allowed_ = true;
  std::vector<Entry> table_;
  std::vector<bool> pending_;
};

}  // namespace teeio::hw
