#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "device/dsm_messages.h"
#include "device/dsm_spdm.h"
#include "hw/pci_function.h"
#include "object/trace.h"
#include "schedule/mutex.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::device {

class DmaFunction;
class DmaPhysicalFunction;
class Tdi;

/// The DMA-engine card: a PF, which is DSM and TDI, and VFs, each a TDI.
/// docs/devices/dma-engine.md is its data sheet.
///
/// Lifetime: owned by its machine; outlives the host's view of its functions.
/// Locking: one lock (rank kDevice) for all of it, and one for the words of its mailbox.
class DmaEngineCard final : public DsmMessages {
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
    /// Of each function's BAR2: a power of two from 64 KiB to kWindowAlignment.
    std::uint64_t memory_bytes = kWindowAlignment;
    std::uint64_t serial = 0x1efe'0000'0000'0001;
    /// The card itself sets the identity's seed, from its serial number, and what is
    /// measured of its hardware.
    DsmSpdm spdm{};
    /// The host's software places the PF's BARs: they answer, and are reported, where their
    /// registers say, not only where the machine put them.
    bool bars_move = false;
  };
  /// Precondition: the options are as their comments say.
  DmaEngineCard(object::Trace& trace, const Options& options);
  ~DmaEngineCard() override;
  DmaEngineCard(const DmaEngineCard&) = delete;
  DmaEngineCard& operator=(const DmaEngineCard&) = delete;

  /// Bytes of bus address space that the BARs of a card need.
  [[nodiscard]] static std::uint64_t window_bytes(unsigned vfs,
                                                  std::uint64_t memory_bytes = kWindowAlignment);
  /// PF first, then VFs in order.
  [[nodiscard]] std::vector<hw::PciFunction*> functions() const;
  /// The TDI of functions()[index], for tests and reports.
  [[nodiscard]] const Tdi& tdi(std::size_t index) const;

  // DsmMessages, for whoever speaks SPDM in the card's place over something else than its
  // mailbox: these take the card's lock.
  [[nodiscard]] std::optional<Bytes> answer_message(wire::Protocol protocol, ByteView message,
                                                    std::uint32_t session) override;
  void session_ended(std::uint32_t session) override;
  [[nodiscard]] Attester& attester() override;

  /// The mailbox's objects go to `speaker`, which outlives the traffic. Before any of it.
  void speak_by(DoeSpeaker& speaker);
  /// What such a speaker asks in turn: its caller has the card's lock.
  [[nodiscard]] DsmMessages& messages();
  /// Does something with the card's lock held.
  template <class Step>
  void with_lock(Step step) {
    const schedule::WriteLock lock(lock_);
    step();
  }

 private:
  schedule::RwMutex lock_{schedule::Rank::kDevice};
  std::unique_ptr<DmaPhysicalFunction> pf_;
  std::vector<std::unique_ptr<DmaFunction>> vfs_;
};

}  // namespace teeio::device
