#pragma once

#include <algorithm>

#include "firmware/sev/io_guard.h"
#include "hw/physical_memory.h"

namespace teeio::sev {

/// A BAR as CPUs' private accesses reach it through its root complex: behind a fence reads
/// give ones and writes vanish.
///
/// Lifetime: as long as the range is claimed; what it was made on outlives it.
class FencedMmio final : public hw::MmioTarget {
 public:
  FencedMmio(const IoGuard& guard, std::uint32_t root, std::uint16_t rid, hw::MmioTarget& device)
      : guard_(guard), root_(root), rid_(rid), device_(device) {}

  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override {
    if (guard_.mmio_passes(root_, rid_)) return device_.mmio_read(offset, out);
    std::ranges::fill(out, std::byte{0xff});
  }
  void mmio_write(std::uint64_t offset, ByteView in) override {
    if (guard_.mmio_passes(root_, rid_)) device_.mmio_write(offset, in);
  }

 private:
  const IoGuard& guard_;
  const std::uint32_t root_;
  const std::uint16_t rid_;
  hw::MmioTarget& device_;
};

}  // namespace teeio::sev
