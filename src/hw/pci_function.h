#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "hw/dma.h"
#include "hw/physical_memory.h"
#include "hw/plain_memory_bar.h"

namespace teeio::hw {

/// One BAR, or the expansion ROM's. Source: PCIe Base Spec 7.5.1.2.1, 7.5.1.2.4.
struct Bar {
  enum class Kind : std::uint8_t { kNone, kMemory32, kMemory64, kIo };
  Kind kind = Kind::kNone;  ///< a 64-bit BAR takes two slots, the second kNone
  bool prefetchable = false;
  /// Bytes, a power of two; of memory at least 4 KiB, of a ROM 2 KiB, of I/O 4.
  std::uint64_t size = 0;
  Hpa base{0};                   ///< where the host put it at boot; kIo: the first port
  MmioTarget* target = nullptr;  ///< what answers
  /// Plain memory: a program may mmap it. Else a register BAR, trapped.
  bool plain_memory = false;
  PlainMemoryBar* plain = nullptr;  ///< set if and only if plain_memory is

  [[nodiscard]] bool is_memory() const { return kind != Kind::kNone && kind != Kind::kIo; }
};
inline constexpr std::size_t kBarCount = 6;

/// How a function is reset. Source: PCIe Base Spec 6.6.
enum class ResetKind : std::uint8_t { kFunctionLevel, kHot };

/// Where interrupts of devices end: messages, apart from the memory write that hardware
/// makes, and INTx.
class InterruptSink {
 public:
  virtual ~InterruptSink() = default;
  virtual void message_signalled(std::uint16_t rid, std::uint64_t address, std::uint32_t data) = 0;
  /// As DmaPort::intx().
  virtual bool intx(std::uint16_t /*rid*/, bool /*asserted*/) { return false; }
};

/// A PCI function as its bus sees it.
///
/// Lifetime: owned by its card; outlives the host's view of it.
/// Locking: methods take the device's own lock (rank kDevice) themselves.
class PciFunction {
 public:
  virtual ~PciFunction() = default;
  [[nodiscard]] virtual Bdf bdf() const = 0;
  /// Config space reads and writes of 1, 2 or 4 bytes, naturally aligned, below
  /// 4096. Writes have their effect: command register, FLR, DOE mailbox, MSI-X
  /// enable … and, on a locked TDI, what TDISP 11.2.6 says.
  virtual std::uint32_t config_read(std::uint16_t offset, unsigned size_bytes) = 0;
  virtual void config_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) = 0;
  [[nodiscard]] virtual const std::array<Bar, kBarCount>& bars() const = 0;
  /// The expansion ROM's, read-only memory of 32 bits; null: the function has none.
  [[nodiscard]] virtual const Bar* rom() const { return nullptr; }
  /// What answers trusted (T=1) accesses to BAR `number`: a TD's private MMIO. The
  /// shared ones reach bars()[number].target. nullptr: the function rejects all.
  [[nodiscard]] virtual MmioTarget* private_bar(std::size_t /*number*/) { return nullptr; }
  virtual void reset(ResetKind kind) = 0;
  /// The physical function for a VF, nullptr for a PF.
  [[nodiscard]] virtual PciFunction* physical_function() = 0;
  /// Sets where the function's requests go. Called once, before any traffic.
  virtual void attach(DmaPort& port) = 0;
};

}  // namespace teeio::hw
