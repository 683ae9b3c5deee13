#include "serve/vfio_user/regions.h"

#include <algorithm>

#include "hw/capabilities.h"
#include "hw/find_capability.h"

namespace teeio::vfio_user {
namespace {

constexpr std::uint64_t kConfigBytes = hw::ConfigSpace::kSize;
constexpr std::uint16_t kBarsEnd = hw::kFirstBar + 4 * hw::kBarCount;
constexpr std::uint32_t kBarIo = 0x1;
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
  if (bar.kind == hw::Bar::Kind::kIo) return kBarIo;
  return (bar.kind == hw::Bar::Kind::kMemory64 ? kBar64 : 0U) |
         (bar.prefetchable ? kBarPrefetchable : 0U);
}

/// A processor's ports have 4 bytes at most.
unsigned widest(const hw::Bar& bar) { return bar.kind == hw::Bar::Kind::kIo ? 4 : 8; }

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
  if (const auto& msi = irqs.msi())
    for (std::uint16_t at = 0; at < msi->bytes; ++at)
      msi_.push_back(static_cast<std::byte>(
          function.config_read(static_cast<std::uint16_t>(msi->capability + at), 1)));
}

std::uint64_t Regions::size(std::uint32_t index) const {
  if (index == kConfigRegion) return kConfigBytes;
  if (index == kRomRegion) return function_.rom() == nullptr ? 0 : function_.rom()->size;
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
    } else if (index == kRomRegion) {
      done = out.size();
      read_rom(offset, out);
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
  if (index == kRomRegion) return fail(Errno::kInval, "an expansion ROM cannot be written");
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

/// Decoded for the time of the read, as Linux's pci_map_rom() does it, memory space too: the
/// client has the ROM's register for its own guest.
void Regions::read_rom(std::uint64_t offset, std::span<std::byte> out) {
  const std::uint32_t rom = function_.config_read(hw::kRomBar, 4);
  const std::uint32_t command = function_.config_read(hw::kCommand, 2);
  const hw::Bar& bar = *function_.rom();
  function_.config_write(hw::kRomBar, 4,
                         static_cast<std::uint32_t>(raw(bar.base)) | hw::kRomEnable);
  function_.config_write(hw::kCommand, 2, command | hw::kCommandMemorySpace);
  for (std::uint64_t done = 0; done < out.size(); done += kMemoryChunk)
    bar.target->mmio_read(
        offset + done, out.subspan(done, std::min<std::uint64_t>(kMemoryChunk, out.size() - done)));
  function_.config_write(hw::kCommand, 2, command);
  function_.config_write(hw::kRomBar, 4, rom);
}

void Regions::bar_read(const hw::Bar& bar, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t size = bar.plain_memory ? std::min<std::uint64_t>(out.size(), kMemoryChunk)
                                                : access_size(offset, out.size(), widest(bar));
    bar.target->mmio_read(offset, out.first(size));
    out = out.subspan(size);
    offset += size;
  }
}

void Regions::bar_write(const hw::Bar& bar, std::uint64_t offset, ByteView in) {
  while (!in.empty()) {
    const std::uint64_t size = bar.plain_memory ? std::min<std::uint64_t>(in.size(), kMemoryChunk)
                                                : access_size(offset, in.size(), widest(bar));
    bar.target->mmio_write(offset, in.first(size));
    in = in.subspan(size);
    offset += size;
  }
}

bool Regions::is_msi(std::uint16_t offset) const {
  const auto& msi = irqs_.msi();
  return msi && offset >= msi->capability && offset < msi->capability + msi->bytes;
}

std::uint32_t Regions::msi_copy(std::uint16_t offset, unsigned size_bytes) const {
  const std::size_t at = offset - irqs_.msi()->capability;
  return number_of(ByteView(msi_).subspan(at, std::min<std::size_t>(size_bytes, msi_.size() - at)));
}

/// vfio_msi_config_write(): what the client's software programs is its own, and changes
/// nothing at the device.
void Regions::write_msi(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  constexpr std::size_t kHeader = 2, kHighControl = 3;
  constexpr std::uint32_t kEnableAndChosen = 0x71;
  const std::size_t first = offset - irqs_.msi()->capability;
  for (std::size_t at = first; at < std::min(first + size_bytes, msi_.size()); ++at) {
    const std::uint32_t byte = value >> 8 * (at - first) & 0xffU;
    if (at < kHeader || at == kHighControl) continue;
    const std::uint32_t mask = at == kHeader ? kEnableAndChosen : 0xffU;
    msi_[at] =
        static_cast<std::byte>((std::to_integer<std::uint32_t>(msi_[at]) & ~mask) | (byte & mask));
  }
}

bool Regions::is_virtual_bar(std::uint16_t offset) const {
  return virtual_bars_ && offset >= hw::kFirstBar && offset < kBarsEnd;
}

std::uint32_t Regions::config_read(std::uint16_t offset, unsigned size_bytes) {
  if (is_msi(offset)) return msi_copy(offset, size_bytes);
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
  if (is_msi(offset)) return write_msi(offset, size_bytes, value);
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
