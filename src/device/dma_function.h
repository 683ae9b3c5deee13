#pragma once

#include <array>
#include <cstdint>

#include "device/bar_targets.h"
#include "device/dma_engine.h"
#include "device/plain_memory.h"
#include "device/tee_function.h"

namespace teeio::device {

/// One function of the DMA-engine card: a TDI with an engine, 1 MiB of memory and
/// MSI-X. docs/devices/dma-engine.md is the data sheet.
///
/// Lifetime: owned by DmaEngineCard. Locking: the card's lock.
class DmaFunction final : public TeeFunction, private DmaEngineFunction {
 public:
  static constexpr std::uint8_t kMemoryBar = 2;
  static constexpr std::uint16_t kVectors = 4;
  /// Vector of the DOE mailbox, beside the engine's.
  static constexpr std::uint16_t kDoeVector = 2;

  /// Where the BARs are.
  struct Addresses {
    Hpa registers;
    Hpa memory;
    Hpa msix;
    std::uint64_t memory_bytes = 0;
  };
  struct Place {
    Bdf bdf;
    hw::Identity identity;
    Addresses addresses;
    TeeFunction* pf = nullptr;  ///< nullptr: this is the PF
    unsigned msi_vectors = 0;   ///< 0: it has no MSI
    bool intx = false;          ///< it has a pin
    Hpa rom{0};                 ///< as Endpoint::Options has it
    std::uint64_t rom_bytes = 0;
    bool bars_move = false;  ///< as DmaEngineCard::Options has it
    ReportOptions report{};
    unsigned pasid_bits = 0;  ///< as TeeFunction::Role has it
  };
  DmaFunction(object::Trace& trace, schedule::Monitor& card_lock, const Place& place);

  [[nodiscard]] hw::MmioTarget* private_bar(std::size_t number) override;
  static std::array<hw::Bar, hw::kBarCount> make_bars(const Addresses& addresses);

 private:
  // TeeFunction
  void register_read(std::uint64_t offset, std::span<std::byte> out) override;
  void register_write(std::uint64_t offset, ByteView in) override;
  void scrub() override;
  // DmaEngineFunction
  [[nodiscard]] bool may_issue(hw::TBit t) const override { return may_issue_now(t); }
  [[nodiscard]] bool may_name(hw::Pasid pasid) const override {
    return TeeFunction::may_name(pasid);
  }
  Result<void> dma_read(const Traffic& traffic, Iova address, std::span<std::byte> out) override {
    return issue_read(traffic.t, address, out, traffic.pasid);
  }
  Result<void> dma_write(const Traffic& traffic, Iova address, ByteView in) override {
    return issue_write(traffic.t, address, in, traffic.pasid);
  }
  void fire(std::uint16_t vector) override { TeeFunction::fire(vector); }
  [[nodiscard]] std::uint32_t interrupt_causes() const override { return causes(); }
  void acknowledge_interrupts(std::uint32_t bits) override { acknowledge(bits); }

  PlainMemory memory_;
  DmaEngine engine_;
  PlainMemoryTarget shared_memory_;
  PlainMemoryTarget trusted_memory_;
};

}  // namespace teeio::device
