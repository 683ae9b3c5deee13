#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "device/dsm_spdm.h"
#include "device/report_options.h"
#include "device/tee_card.h"
#include "hw/ide_offer.h"
#include "object/trace.h"

namespace teeio::device {

/// The DMA-engine card. docs/devices/dma-engine.md is its data sheet.
class DmaEngineCard final : public TeeCard {
 public:
  static constexpr std::uint16_t kVendorId = 0x1efe;  ///< not assigned in pci.ids
  static constexpr std::uint16_t kPfDeviceId = 0x0d00;
  static constexpr std::uint16_t kVfDeviceId = 0x0d01;

  struct Options {
    Bdf pf;                    ///< function 0 of a device
    unsigned vfs = 2;          ///< at most kMaxVfs; those beyond the PF's bus are on the next
    Hpa window{0};             ///< aligned to kWindowAlignment; the BARs are put there
    unsigned ide_streams = 2;  ///< selective IDE streams, 1–32
    hw::IdeOffer ide{};        ///< what IDE offers beside them
    /// Of each function's BAR2: a power of two from 64 KiB to kWindowAlignment.
    std::uint64_t memory_bytes = kWindowAlignment;
    std::uint64_t serial = 0x1efe'0000'0000'0001;
    /// The card itself sets the identity's seed, from its serial number, and what is
    /// measured of it.
    DsmSpdm spdm{};
    unsigned msi_vectors = 0;  ///< of each function: 0, or a power of two up to 32
    bool intx = false;         ///< the PF has an interrupt pin
    Hpa rom{0};                ///< of the PF, as Endpoint::Options has it
    std::uint64_t rom_bytes = 0;
    /// The host's software places the PF's BARs: they answer, and are reported, where their
    /// registers say, not only where the machine put them.
    bool bars_move = false;
    /// By function, PF first; those that it does not reach have the default one.
    std::vector<ReportOptions> reports{};
    unsigned pasid_bits = 0;  ///< width of PASIDs, 1-20; 0: no PASID capability
  };
  /// Precondition: the options are as their comments say.
  DmaEngineCard(object::Trace& trace, const Options& options);

  /// Bytes of a function's BAR that a report may split; nullopt: none of that number.
  [[nodiscard]] static std::optional<std::uint64_t> bar_bytes(std::uint8_t bar,
                                                              std::uint64_t memory_bytes);
  /// Bytes of bus address space that the BARs of a card need.
  [[nodiscard]] static std::uint64_t window_bytes(unsigned vfs,
                                                  std::uint64_t memory_bytes = kWindowAlignment);
};

}  // namespace teeio::device
