#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "device/dsm_spdm.h"
#include "device/nvme/name_space.h"
#include "device/report_options.h"
#include "device/tee_card.h"
#include "hw/ide_offer.h"
#include "object/trace.h"

namespace teeio::nvme {

/// An NVMe card: `model = "nvme"`. docs/nvme.md is its data sheet.
class NvmeCard final : public device::TeeCard {
 public:
  static constexpr std::uint16_t kVendorId = 0x1efe;  ///< not assigned in pci.ids
  static constexpr std::uint16_t kPfDeviceId = 0x0c00;
  static constexpr std::uint16_t kVfDeviceId = 0x0c01;
  /// Of one function.
  static constexpr std::size_t kMaxNamespaces = 16;

  struct Options {
    Bdf pf;                    ///< function 0 of a device
    unsigned vfs = 0;          ///< at most kMaxVfs, and on the PF's bus
    Hpa window{0};             ///< aligned to kWindowAlignment; the BARs are put there
    unsigned ide_streams = 1;  ///< selective IDE streams, 1–32
    hw::IdeOffer ide{};        ///< what IDE offers beside them
    std::uint64_t serial = 1;
    device::DsmSpdm spdm{};                        ///< as DmaEngineCard's
    Hpa rom{0};                                    ///< as DmaEngineCard's
    std::uint64_t rom_bytes = 0;                   ///< likewise
    bool bars_move = false;                        ///< as DmaEngineCard's
    std::vector<device::ReportOptions> reports{};  ///< as DmaEngineCard's
  };
  /// `spaces`: of the PF, then of each VF; functions that it does not reach have none.
  /// Precondition: the options are as their comments say.
  NvmeCard(object::Trace& trace, const Options& options,
           std::vector<std::vector<NameSpace>> spaces);

  /// As DmaEngineCard's.
  [[nodiscard]] static std::optional<std::uint64_t> bar_bytes(std::uint8_t bar);
  /// Bytes of bus address space that the BARs of a card need.
  [[nodiscard]] static std::uint64_t window_bytes(unsigned vfs);
};

}  // namespace teeio::nvme
