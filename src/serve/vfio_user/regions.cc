#include "serve/vfio_user/regions.h"

#include <algorithm>

#include "hw/capabilities.h"
#include "hw/find_capability.h"

namespace teeio::vfio_user {
namespace {

constexpr std::uint64_t kConfigBytes = hw::ConfigSpace::kSize;
constexpr std::uint16_t kBarsEnd = hw::kFirstBar + 4 * hw::kBarCount;
constexpr std::uint32_t kBar64 = 0x4;
constexpr std::uint32_t kBarPrefetchable = 0x8;
constexpr std::uint64_t kMemoryChunk = 4096;  // of plain memory at once

/// The largest naturally aligned access at `offset` of at most `most` bytes.
unsigned access_size(std::uint64_t offset, std::uint64_t left, unsigned most) {
  unsigned size = most;
  while (size > left || offset % size != 0) size /= 2;
  return size;
}

std::uint32_t number_of(ByteView bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    value |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
  return value;
}

std::uint32_t type_of(const hw::Bar& bar) {
  return (bar.kind == hw::Bar::Kind::kMemory64 ? kBar64 : 0U) |
         (bar.prefetchable ? kBarPrefetchable : 0U);
}

}  // namespace

Regions::Regions(hw::PciFunction& function, IrqLines& irqs)
    : function_(function),
      irqs_(irqs),
      virtual_bars_(function.physical_function() != nullptr),
      express_(hw::find_capability(function, hw::kCapabilityPcie).value_or(0)) {
  for (std::size_t i = 0; i < hw::kBarCount; ++i) {
    const hw::Bar& bar = function.bars().at(i);
    if (bar.kind == hw::Bar::Kind::kNone) continue;
    const std::uint64_t mask = ~(bar.size - 1);
    bars_.at(i) = type_of(bar);
    bar_masks_.at(i) = static_cast<std::uint32_t>(mask);
    if (bar.kind == hw::Bar::Kind::kMemory64)
      bar_masks_.at(i + 1) = static_cast<std::uint32_t>(mask >> 32U);
  }
}

std::uint64_t Regions::size(std::uint32_t index) const {
  if (index == kConfigRegion) return kConfigBytes;
  return index < hw::kBarCount ? function_.bars().at(index).size : 0;
}

Result<void> Regions::check(std::uint32_t index, std::uint64_t offset, std::uint64_t size) const {
  if (index >= kRegions) return fail(Errno::kInval, "there is no such region");
  const std::uint64_t bytes = this->size(index);
  if (offset > bytes || size > bytes - offset)
    return fail(Errno::kInval, "the access is not inside of the region");
  return {};
}

Result<void> Regions::read(std::uint32_t index, std::uint64_t offset, std::span<std::byte> out) {
  TEEIO_TRY(check(index, offset, out.size()));
  while (!out.empty()) {
    std::uint64_t done = 0;
    if (index == kConfigRegion) {
      const unsigned size = access_size(offset, out.size(), 4);
      const std::uint32_t value = config_read(static_cast<std::uint16_t>(offset), size);
      for (unsigned i = 0; i < size; ++i) out[i] = static_cast<std::byte>(value >> (8 * i));
      done = size;
    } else {
      const Part part = part_of(index, offset, out.size());
      done = part.size;
      if (part.table)
        std::ranges::fill(out.first(done), std::byte{0xff});
      else
        bar_read(function_.bars().at(index), offset, out.first(done));
    }
    out = out.subspan(done);
    offset += done;
  }
  return {};
}

Result<void> Regions::write(std::uint32_t index, std::uint64_t offset, ByteView in) {
  TEEIO_TRY(check(index, offset, in.size()));
  while (!in.empty()) {
    std::uint64_t done = 0;
    if (index == kConfigRegion) {
      const unsigned size = access_size(offset, in.size(), 4);
      config_write(static_cast<std::uint16_t>(offset), size, number_of(in.first(size)));
      done = size;
    } else {
      const Part part = part_of(index, offset, in.size());
      done = part.size;
      if (!part.table) bar_write(function_.bars().at(index), offset, in.first(done));
    }
    in = in.subspan(done);
    offset += done;
  }
  return {};
}

/// Linux keeps the table to itself: drivers/vfio/pci/vfio_pci_rdwr.c, vfio_pci_bar_rw(), which
/// reads it as ones and drops writes.
Regions::Part Regions::part_of(std::uint32_t index, std::uint64_t offset,
                               std::uint64_t size) const {
  const auto& msix = irqs_.msix();
  if (!msix || msix->bar != index) return {size, false};
  const std::uint64_t end = msix->table + msix->table_bytes();
  if (offset >= end) return {size, false};
  if (offset >= msix->table) return {std::min(size, end - offset), true};
  return {std::min(size, msix->table - offset), false};
}

void Regions::bar_read(const hw::Bar& bar, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t size = bar.plain_memory ? std::min<std::uint64_t>(out.size(), kMemoryChunk)
                                                : access_size(offset, out.size(), 8);
    bar.target->mmio_read(offset, out.first(size));
    out = out.subspan(size);
    offset += size;
  }
}

void Regions::bar_write(const hw::Bar& bar, std::uint64_t offset, ByteView in) {
  while (!in.empty()) {
    const std::uint64_t size = bar.plain_memory ? std::min<std::uint64_t>(in.size(), kMemoryChunk)
                                                : access_size(offset, in.size(), 8);
    bar.target->mmio_write(offset, in.first(size));
    in = in.subspan(size);
    offset += size;
  }
}

bool Regions::is_virtual_bar(std::uint16_t offset) const {
  return virtual_bars_ && offset >= hw::kFirstBar && offset < kBarsEnd;
}

std::uint32_t Regions::config_read(std::uint16_t offset, unsigned size_bytes) {
  if (!is_virtual_bar(offset)) return function_.config_read(offset, size_bytes);
  const unsigned at = offset - hw::kFirstBar;
  const std::uint32_t value = bars_.at(at / 4) >> (8 * (at % 4));
  return size_bytes == 4 ? value : value & ((1U << (8 * size_bytes)) - 1);
}

void Regions::config_write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  if (is_virtual_bar(offset)) {
    const unsigned at = offset - hw::kFirstBar;
    const unsigned shift = 8 * (at % 4);
    const std::uint32_t bytes = (size_bytes == 4 ? ~0U : (1U << (8 * size_bytes)) - 1) << shift;
    const std::uint32_t mask = bar_masks_.at(at / 4) & bytes;
    std::uint32_t& bar = bars_.at(at / 4);
    bar = (bar & ~mask) | (value << shift & mask);
    return;
  }
  // The other half of MSI-X's first register is read-only.
  if (const auto& msix = irqs_.msix();
      msix && offset >= msix->capability && offset < msix->capability + 4)
    return;
  const bool resets = express_ != 0 && hw::flr_requested(express_, offset, size_bytes, value);
  function_.config_write(offset, size_bytes, value);
  if (!resets) return;
  forget_bars();
  irqs_.rearm();
}

void Regions::forget_bars() {
  for (std::size_t i = 0; i < hw::kBarCount; ++i) bars_.at(i) &= ~bar_masks_.at(i);
}

}  // namespace teeio::vfio_user
