#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/types.h"
#include "hw/pci_function.h"
#include "object/trace.h"
#include "schedule/mutex.h"

namespace teeio::device {

class DmaFunction;
class DmaPhysicalFunction;
class Tdi;

/// The DMA-engine card: a PF, which is DSM and TDI, and VFs, each a TDI.
/// docs/devices/dma-engine.md is its data sheet.
///
/// Lifetime: owned by its machine; outlives the host's view of its functions.
/// Locking: one lock (rank kDevice) for all of it.
class DmaEngineCard {
 public:
  static constexpr std::uint16_t kVendorId = 0x1efe;  ///< not assigned in pci.ids
  static constexpr std::uint16_t kPfDeviceId = 0x0d00;
  static constexpr std::uint16_t kVfDeviceId = 0x0d01;
  static constexpr unsigned kMaxVfs = 128;
  static constexpr std::uint64_t kWindowAlignment = 1024 * 1024;

  struct Options {
    Bdf pf;                    ///< function 0 of a device
    unsigned vfs = 2;          ///< at most kMaxVfs, and on the PF's bus
    Hpa window{0};             ///< aligned to kWindowAlignment; the BARs are put there
    unsigned ide_streams = 2;  ///< selective IDE streams, 1–32
    std::uint64_t serial = 0x1efe'0000'0000'0001;
  };
  /// Precondition: the options are as their comments say.
  DmaEngineCard(object::Trace& trace, const Options& options);
  ~DmaEngineCard();
  DmaEngineCard(const DmaEngineCard&) = delete;
  DmaEngineCard& operator=(const DmaEngineCard&) = delete;

  /// Bytes of bus address space that the BARs of a card need.
  [[nodiscard]] static std::uint64_t window_bytes(unsigned vfs);
  /// PF first, then VFs in order.
  [[nodiscard]] std::vector<hw::PciFunction*> functions() const;
  /// The TDI of functions()[index], for tests and reports.
  [[nodiscard]] const Tdi& tdi(std::size_t index) const;

 private:
  schedule::Mutex lock_{schedule::Rank::kDevice};
  std::unique_ptr<DmaPhysicalFunction> pf_;
  std::vector<std::unique_ptr<DmaFunction>> vfs_;
};

}  // namespace teeio::device
