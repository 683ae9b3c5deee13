#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/types.h"
#include "hw/physical_memory.h"
#include "hw/root_port.h"

namespace teeio::hw {

/// A BAR as CPUs' trusted accesses reach it through its root port: one whose address no
/// enabled stream has does not travel as trusted. Reads give ones then, and writes vanish, as
/// when the device rejects a request (a guess: the specification leaves the answer to the
/// root complex).
///
/// Lifetime: as long as the range is claimed; what it was made on outlives it.
class TrustedMmio final : public MmioTarget {
 public:
  TrustedMmio(const RootPort& port, Hpa base, MmioTarget& device)
      : port_(port), base_(base), device_(device) {}

  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override {
    if (port_.admits_access(base_ + offset)) return device_.mmio_read(offset, out);
    std::ranges::fill(out, std::byte{0xff});
  }
  void mmio_write(std::uint64_t offset, ByteView in) override {
    if (port_.admits_access(base_ + offset)) device_.mmio_write(offset, in);
  }

 private:
  const RootPort& port_;
  const Hpa base_;
  MmioTarget& device_;
};

}  // namespace teeio::hw
