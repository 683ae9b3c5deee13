#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "device/dma_descriptor.h"
#include "device/plain_memory.h"
#include "hw/dma.h"

namespace teeio::device {

/// What an engine needs from the function that it is in. Called with the card's
/// lock held.
class DmaEngineFunction {
 public:
  virtual ~DmaEngineFunction() = default;
  /// Memory requests with that T bit may be issued now: bus mastering is on, the
  /// power state is D0, and the TDI's state allows them.
  [[nodiscard]] virtual bool may_issue(hw::TBit t) const = 0;
  /// Requests may name that PASID now.
  [[nodiscard]] virtual bool may_name(hw::Pasid pasid) const = 0;
  struct Traffic {
    hw::TBit t;
    std::optional<hw::Pasid> pasid;
  };
  virtual Result<void> dma_read(const Traffic& traffic, Iova address, std::span<std::byte> out) = 0;
  virtual Result<void> dma_write(const Traffic& traffic, Iova address, ByteView in) = 0;
  virtual void fire(std::uint16_t vector) = 0;
  /// What INTx has said and nobody has acknowledged yet, a bit a vector.
  [[nodiscard]] virtual std::uint32_t interrupt_causes() const = 0;
  virtual void acknowledge_interrupts(std::uint32_t causes) = 0;
};

/// The registers of one function's DMA engine (BAR0) and the ring behind them.
/// docs/devices/dma-engine.md is its data sheet.
///
/// A write to the doorbell carries out every descriptor up to it before it
/// returns, so a run is the same each time.
///
/// Locking: the card's lock, held across the transfers.
class DmaEngine {
 public:
  static constexpr std::uint64_t kRegisterBytes = 64 * 1024;
  static constexpr std::uint16_t kCompletionVector = 0;
  static constexpr std::uint16_t kErrorVector = 1;

  DmaEngine(DmaEngineFunction& function, PlainMemory& local) : function_(function), local_(local) {}

  /// Registers have 4 bytes and take naturally aligned accesses of 4 or 8 bytes;
  /// others read as ones and write nothing.
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  void write(std::uint64_t offset, ByteView in);
  /// All registers as at power-on.
  void reset() { registers_ = {}; }

 private:
  struct Registers {
    bool enabled = false;
    std::uint64_t ring_base = 0;
    std::uint32_t ring_size = 0;     ///< descriptors
    std::uint32_t ring_control = 0;  ///< bit 0: descriptors are read and written with T=1
    std::uint32_t head = 0;
    std::uint32_t tail = 0;
    DmaError error = DmaError::kNone;
    std::uint32_t error_index = 0;
    std::uint32_t completed = 0;
    std::array<std::uint32_t, 16> scratch{};
  };
  [[nodiscard]] std::uint32_t read_register(std::uint64_t offset) const;
  void write_register(std::uint64_t offset, std::uint32_t value);
  void write_control(std::uint32_t value);

  void ring_doorbell(std::uint32_t tail);
  [[nodiscard]] DmaError check_ring(std::uint32_t tail) const;
  /// One descriptor; kNone when it was carried out and written back.
  DmaError step();
  DmaError execute(const DmaDescriptor& descriptor);
  DmaError check(const DmaDescriptor& descriptor) const;
  DmaError read_source(const DmaDescriptor& descriptor, std::uint64_t done,
                       std::span<std::byte> out);
  DmaError write_destination(const DmaDescriptor& descriptor, std::uint64_t done, ByteView in);
  void halt(DmaError error);
  [[nodiscard]] hw::TBit ring_t() const;
  /// Descriptors are fetched and written back without a PASID.
  [[nodiscard]] DmaEngineFunction::Traffic ring_traffic() const { return {ring_t(), {}}; }
  [[nodiscard]] Iova descriptor_at(std::uint32_t index) const;

  DmaEngineFunction& function_;
  PlainMemory& local_;
  Registers registers_;
};

}  // namespace teeio::device
