#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "device/plain_memory.h"
#include "hw/physical_memory.h"
#include "schedule/monitor.h"

namespace teeio::device {

/// An I/O BAR that reaches a BAR of plain memory word by word: ports for an index and for the
/// data at it. docs/devices/plain-card.md is its data sheet.
///
/// Lifetime: its function's; the memory outlives it. Locking: none: ports are flags that
/// tasks share, the memory has its own.
class IoPorts final : public hw::MmioTarget {
 public:
  static constexpr std::uint64_t kPorts = 32;

  /// `enabled`: the function answers I/O at all.
  IoPorts(PlainMemory& memory, const schedule::Word<bool>& enabled)
      : memory_(memory), enabled_(enabled) {}

  /// Accesses of 1, 2 or 4 bytes, naturally aligned; others read as ones and write nothing.
  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override;
  void mmio_write(std::uint64_t offset, ByteView in) override;
  void reset();

 private:
  [[nodiscard]] bool answers(std::uint64_t offset, std::size_t size) const;
  [[nodiscard]] std::uint32_t read_port(std::uint64_t offset);
  void write_port(std::uint64_t offset, std::uint32_t value);

  PlainMemory& memory_;
  const schedule::Word<bool>& enabled_;
  schedule::Word<std::uint32_t> index_{0};
  std::array<schedule::Word<std::uint32_t>, 4> scratch_{};
};

}  // namespace teeio::device
