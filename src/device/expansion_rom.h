#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/bytes.h"
#include "hw/capabilities.h"
#include "hw/physical_memory.h"

namespace teeio::device {

/// A card's expansion ROM: one image for a PC's firmware, which does nothing but say that it
/// was there. What lies behind the image reads as ones.
/// Source: PCI Firmware Specification 3.3, 5.1 (header, PCI data structure).
///
/// Lifetime: its function's. Locking: immutable; `answers`, called for each read, says whether it
/// is decoded now.
class ExpansionRom final : public hw::MmioTarget {
 public:
  static constexpr std::uint64_t kImageBytes = 1024;

  ExpansionRom(const hw::Identity& identity, std::string_view text, std::function<bool()> answers);
  void mmio_read(std::uint64_t offset, std::span<std::byte> out) override;
  void mmio_write(std::uint64_t, ByteView) override {}

 private:
  const Bytes image_;
  const std::function<bool()> answers_;
};

}  // namespace teeio::device
