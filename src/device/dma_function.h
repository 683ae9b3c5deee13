#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "device/bar_targets.h"
#include "device/dma_engine.h"
#include "device/endpoint.h"
#include "device/plain_memory.h"
#include "device/sriov_capability.h"
#include "device/tdi.h"
#include "hw/msix.h"

namespace teeio::device {

/// One function of the DMA-engine card: a TDI with an engine, 1 MiB of memory and
/// MSI-X. docs/devices/dma-engine.md is the data sheet.
///
/// Lifetime: owned by DmaEngineCard. Locking: the card's lock.
class DmaFunction : public Endpoint,
                    protected TdiFunction,
                    private DmaEngineFunction,
                    private RegisterFunction {
 public:
  static constexpr std::uint8_t kRegisterBar = 0;
  static constexpr std::uint8_t kMemoryBar = 2;
  static constexpr std::uint8_t kMsixBar = 4;
  static constexpr std::uint64_t kMemoryBytes = 1024 * 1024;
  static constexpr std::uint64_t kMsixBytes = 8 * 1024;
  static constexpr std::uint32_t kPbaOffset = 0x1000;  ///< a page of its own
  static constexpr std::uint16_t kVectors = 4;

  /// Where the BARs are.
  struct Addresses {
    Hpa registers;
    Hpa memory;
    Hpa msix;
    std::uint64_t memory_bytes = kMemoryBytes;
  };
  struct Role {
    Bdf bdf;
    hw::Identity identity;
    Addresses addresses;
    DmaFunction* pf = nullptr;  ///< nullptr: this is the PF
    bool bars_move = false;     ///< as DmaEngineCard::Options has it
  };
  DmaFunction(object::Trace& trace, schedule::RwMutex& card_lock, const Role& role);

  [[nodiscard]] hw::PciFunction* physical_function() override { return pf_; }
  [[nodiscard]] hw::MmioTarget* private_bar(std::size_t number) override;
  [[nodiscard]] Tdi& tdi() { return tdi_; }
  [[nodiscard]] const Tdi& tdi() const { return tdi_; }

  [[nodiscard]] bool memory_enabled() const override;
  /// Something outside of this function's config space changed what it answers.
  void refresh_enabled();
  using Endpoint::reset_locked;  // a reset of the PF takes its VFs along

  static std::array<hw::Bar, hw::kBarCount> make_bars(const Addresses& addresses);

  /// Vector of the DOE mailbox, beside the engine's.
  static constexpr std::uint16_t kDoeVector = 2;

 protected:
  void fire(std::uint16_t vector) override;  // DmaEngineFunction
  void apply_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) override;
  void on_reset(hw::ResetKind kind) override;
  void on_attach() override;
  [[nodiscard]] std::optional<std::string_view> configuration_fault() const override;
  /// As VFs ask their PF: its SR-IOV capability is as at boot, and enables them.
  [[nodiscard]] virtual bool vf_answers(unsigned /*index*/) const { return false; }
  [[nodiscard]] virtual bool vf_in_place(unsigned /*index*/) const { return false; }

 private:
  /// Of a VF, from 0: they follow their PF at consecutive requester IDs.
  [[nodiscard]] unsigned vf_index() const { return bdf().rid() - pf_->bdf().rid() - 1U; }
  // TdiFunction
  [[nodiscard]] std::vector<wire::TdispMmioRange> mmio_ranges(bool msix_locked) const override;
  [[nodiscard]] std::uint16_t msix_message_control() const override;
  void scrub() override;
  // DmaEngineFunction
  [[nodiscard]] bool may_issue(hw::TBit t) const override;
  Result<void> dma_read(hw::TBit t, Iova address, std::span<std::byte> out) override;
  Result<void> dma_write(hw::TBit t, Iova address, ByteView in) override;
  // RegisterFunction
  void bar_read(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                std::span<std::byte> out) override;
  void bar_write(std::uint8_t bar, hw::TBit t, std::uint64_t offset, ByteView in) override;

  [[nodiscard]] bool answers(std::uint8_t bar, hw::TBit t) const;

  /// The three BARs as accesses with one T bit see them.
  struct Path {
    RegisterTarget registers;
    PlainMemoryTarget memory;
    RegisterTarget msix;
  };

  DmaFunction* const pf_;
  Tdi tdi_;
  PlainMemory memory_;
  DmaEngine engine_;
  hw::Msix msix_;
  bool was_enabled_ = true;         ///< memory_enabled() when last looked at
  schedule::Atomic<bool> enabled_;  ///< the same, for BARs that take no card lock
  Path shared_;
  Path trusted_;
};

}  // namespace teeio::device
