#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "device/mmio_layout.h"
#include "device/plain_memory.h"
#include "device/tdi.h"
#include "hw/physical_memory.h"
#include "schedule/monitor.h"

namespace teeio::device {

/// Which BAR of a TDI something is.
struct TdiBar {
  const Tdi& tdi;
  const MmioLayout& layout;
  std::uint8_t number;
};

/// A BAR of plain memory as accesses with one T bit reach it; an access that the
/// TDI does not answer whole reads as ones and writes nothing. Without a TDI there are
/// only shared accesses.
class PlainMemoryTarget final : public hw::MmioTarget {
 public:
  /// `enabled`: the function answers MMIO at all.
  PlainMemoryTarget(PlainMemory& memory, const schedule::Word<bool>& enabled,
                    std::optional<TdiBar> bar, hw::TBit t)
      : memory_(memory), enabled_(enabled), bar_(bar), t_(t) {}

  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override;
  void mmio_write(std::uint64_t offset, ByteView in) override;
  [[nodiscard]] bool peer_read(std::uint64_t offset, std::span<std::byte> out) override;
  [[nodiscard]] bool peer_write(std::uint64_t offset, ByteView in) override;

 private:
  [[nodiscard]] bool answers(std::uint64_t offset, std::uint64_t size) const;

  PlainMemory& memory_;
  const schedule::Word<bool>& enabled_;
  const std::optional<TdiBar> bar_;
  const hw::TBit t_;
};

/// A function that has register BARs.
class RegisterFunction {
 public:
  virtual ~RegisterFunction() = default;
  /// An access to BAR `bar` with that T bit. Takes the card's lock.
  virtual void bar_read(std::uint8_t bar, hw::TBit t, std::uint64_t offset,
                        std::span<std::byte> out) = 0;
  virtual void bar_write(std::uint8_t bar, hw::TBit t, std::uint64_t offset, ByteView in) = 0;
};

/// A register BAR as accesses with one T bit reach it.
class RegisterTarget final : public hw::MmioTarget {
 public:
  RegisterTarget(RegisterFunction& function, std::uint8_t bar, hw::TBit t)
      : function_(function), bar_(bar), t_(t) {}
  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override {
    function_.bar_read(bar_, t_, offset, out);
  }
  void mmio_write(std::uint64_t offset, ByteView in) override {
    function_.bar_write(bar_, t_, offset, in);
  }

 private:
  RegisterFunction& function_;
  const std::uint8_t bar_;
  const hw::TBit t_;
};

}  // namespace teeio::device
