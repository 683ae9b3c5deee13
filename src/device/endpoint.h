#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "device/expansion_rom.h"
#include "hw/capabilities.h"
#include "hw/config_space.h"
#include "hw/pci_function.h"
#include "object/trace.h"
#include "schedule/monitor.h"

namespace teeio::device {

/// Parts of what a card's lock guards: each function, by its requester id; what speaks for
/// all of them; the registers by which VFs are there. Who gets to one says so.
enum class CardPart : std::uint8_t { kFunction = 1, kDsm, kSriov };

/// A PCI end point function: what every function of our cards has in common.
/// Config space with power management and PCI Express (FLR), BARs, the way to
/// memory, and who may use it when.
///
/// Lifetime: owned by its card.
/// Locking: `card_lock` (rank kDevice), shared by all functions of the card. Reads of
/// config space go without it, word by word; the virtual functions below are called
/// with it held, unless they say otherwise.
class Endpoint : public hw::PciFunction {
 public:
  [[nodiscard]] Bdf bdf() const final { return bdf_; }
  std::uint32_t config_read(std::uint16_t offset, unsigned size_bytes) final;
  void config_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) final;
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const final { return bars_; }
  [[nodiscard]] const hw::Bar* rom() const final { return rom_ ? &rom_->bar : nullptr; }
  void reset(hw::ResetKind kind) final;
  void attach(hw::DmaPort& port) final;

  // With the card's lock held:
  /// D0, and memory space enabled: MMIO is answered.
  [[nodiscard]] virtual bool memory_enabled() const;
  [[nodiscard]] bool in_d0() const;
  /// D0, and I/O space enabled.
  [[nodiscard]] bool io_enabled() const;
  /// D0, and bus mastering enabled.
  [[nodiscard]] bool bus_master_enabled() const;
  /// BAR registers hold the addresses that the host assigned at boot, where the
  /// bus decodes them; always, if BARs move.
  [[nodiscard]] bool bars_in_place() const;
  /// Where a BAR answers.
  [[nodiscard]] std::uint64_t bar_address(std::size_t number) const;
  /// This section of the card's lock touches that: of kFunction, this one.
  void touch(CardPart what, schedule::Touch::How how) const;

 protected:
  struct Options {
    Bdf bdf;
    hw::Identity identity;
    std::array<hw::Bar, hw::kBarCount> bars;
    bool bars_in_header = true;  ///< false: a VF
    bool bars_move = false;      ///< they answer where their registers say
    bool tee_io = false;
    Hpa rom{0};                   ///< where the expansion ROM is
    std::uint64_t rom_bytes = 0;  ///< 0: it has none; else a power of two, at least 2 KiB
    std::string_view rom_text{};  ///< what its image says
  };
  Endpoint(object::Trace& trace, schedule::Monitor& card_lock, const Options& options);
  ~Endpoint() override = default;

  /// Registers that are not plain storage (a DOE mailbox); nullopt: they are. Called
  /// without the card's lock, as write_special() is.
  virtual std::optional<std::uint32_t> read_special(std::uint16_t /*offset*/,
                                                    unsigned /*size_bytes*/) {
    return std::nullopt;
  }
  /// Takes a write whose effect ends in such a register; false: it is apply_write()'s.
  virtual bool write_special(std::uint16_t /*offset*/, unsigned /*size_bytes*/,
                             std::uint32_t /*value*/) {
    return false;
  }
  /// What a write to that register touches first of all.
  [[nodiscard]] virtual CardPart part_of(std::uint16_t /*offset*/) const {
    return CardPart::kFunction;
  }
  /// Applies a configuration write, with its effects. A function level reset that
  /// it asks for has happened already.
  virtual void apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
    config_.write(offset, size_bytes, value);
  }
  /// The function is reset; its own registers are next.
  virtual void on_reset(hw::ResetKind kind) = 0;
  virtual void on_attach() {}
  /// Says what answers a BAR. Only while constructing.
  void answer_bar(std::size_t number, hw::MmioTarget& target,
                  hw::PlainMemoryBar* plain_memory = nullptr);
  /// What a BAR's registers say.
  [[nodiscard]] std::uint64_t bar_register(std::size_t number) const;
  /// A completion leaves the function: its posted writes are ahead of it. Source: PCIe Base
  /// Spec 2.4.1, a read completion does not pass a posted request, as far as ID-based ordering
  /// lets it (HostBridge has that). Not for reads of plain memory, which programs map.
  void complete() const;
  /// Resets this function with the lock held.
  void reset_locked(hw::ResetKind kind);

  /// Its register is decoded. From any task.
  [[nodiscard]] bool rom_answers() const;

  struct Rom {
    Rom(const Options& options, std::function<bool()> answers);
    ExpansionRom target;
    hw::Bar bar;
  };

  object::Trace& trace_;
  schedule::Monitor& card_lock_;
  const Bdf bdf_;
  std::array<hw::Bar, hw::kBarCount> bars_;
  const bool bars_in_header_;
  const bool bars_move_;
  hw::ConfigSpace config_;
  std::optional<Rom> rom_;
  std::uint16_t power_ = 0;    ///< offset of the power management capability
  std::uint16_t express_ = 0;  ///< offset of the PCI Express capability
  hw::DmaPort* port_ = nullptr;
};

}  // namespace teeio::device
