#include <algorithm>

#include "base/check.h"
#include "host/vfio/awake.h"
#include "host/vfio/device.h"
#include "host/vfio/mapped_rom.h"
#include "host/vfio/pci_registers.h"
#include "host/vfio/ports.h"
#include "hw/find_capability.h"

namespace teeio::vfio {
namespace {

/// A part of an access: within the MSI-X table, which is the host's, or outside of it.
struct Piece {
  std::uint64_t offset, length;
  bool msix_table;
};

std::vector<Piece> pieces(std::uint64_t at, std::uint64_t length, const Device::Slice& table) {
  std::vector<Piece> result;
  const std::uint64_t end = at + length;
  const std::uint64_t first = std::clamp(table.offset, at, end);
  const std::uint64_t last = std::clamp(table.offset + table.length, first, end);
  if (first > at) result.push_back({at, first - at, false});
  if (last > first) result.push_back({first, last - first, true});
  if (end > last) result.push_back({last, end - last, false});
  return result;
}

/// vfio_pci_core_do_io_rw(): naturally aligned accesses, of 4 bytes where they are.
template <class Span, class Step>
void by_ports(std::uint64_t at, Span bytes, Step step) {
  while (!bytes.empty()) {
    std::size_t size = 4;
    while (at % size != 0 || size > bytes.size()) size /= 2;
    step(at, bytes.first(size));
    at += size;
    bytes = bytes.subspan(size);
  }
}

}  // namespace

void write_ports(hw::MmioTarget& ports, std::uint64_t at, ByteView bytes) {
  by_ports(at, bytes, [&](std::uint64_t port, ByteView part) { ports.mmio_write(port, part); });
}

void Device::find_rom() {
  has_image_ = false;
  if (pci().rom() == nullptr) return;
  const std::uint32_t command = pci().config_read(kCommand, 2);
  pci().config_write(kCommand, 2, command | kCommandMemory);
  has_image_ = MappedRom(pci()).size() != 0;
  pci().config_write(kCommand, 2, command);
}

/// vfio_pci_bar_rw() of the ROM: what is behind its images reads as ones. The lock is held as
/// for writing, for the ROM's register is switched: Linux's readers race there.
Result<std::size_t> Device::read_rom(std::uint64_t at, std::span<std::byte> out) {
  const hw::Bar* const bar = pci().rom();
  if (bar == nullptr || at >= bar->size) return fail(Errno::kInval, "beyond the region's end");
  out = out.first(std::min<std::uint64_t>(out.size(), bar->size - at));
  const schedule::WriteLock lock(memory_lock_);
  if (bound_) return fail(Errno::kIo, "the device is bound: its registers are the guest's");
  const MappedRom rom(pci());
  const std::uint64_t images = rom.size();
  if (images == 0) return fail(Errno::kNoMem, "the expansion ROM has no image that can be read");
  std::ranges::fill(out, std::byte{0xff});
  if (at < images) rom.read(at, out.first(std::min<std::uint64_t>(out.size(), images - at)));
  touched_bound(object::HostTouch::kRead);
  return out.size();
}

void Device::reach(const std::function<void(bool bound)>& access) {
  const schedule::ReadLock lock(memory_lock_);
  access(bound_);
}

/// pci_read_rom() of sysfs, which asks nobody; here the host keeps its hands off while bound.
Result<std::size_t> Device::read_rom_images(std::uint64_t at, std::span<std::byte> out) {
  const schedule::WriteLock lock(memory_lock_);
  if (bound_) return fail(Errno::kIo, "the device is bound: its registers are the guest's");
  auto done = read_images(pci(), at, out);
  touched_bound(object::HostTouch::kRead);
  return done;
}

Result<void> Device::check_reachable(const hw::Bar& bar) const {
  if (bar.is_memory() && !memory_enabled())
    return fail(Errno::kIo, "the device's memory is disabled");
  if (bound_) return fail(Errno::kIo, "the device is bound: its registers are the guest's");
  return {};
}

void Device::find_msix_table() {
  const auto at = hw::find_capability(pci(), kCapabilityMsix);
  if (!at) return;
  const std::uint32_t entries =
      (pci().config_read(static_cast<std::uint16_t>(*at + kMsixControl), 2) & kMsixTableSize) + 1;
  const std::uint32_t table = pci().config_read(static_cast<std::uint16_t>(*at + kMsixTable), 4);
  msix_bar_ = table & kMsixBarMask;
  msix_table_ = {.offset = table & ~kMsixBarMask, .length = entries * kMsixEntryBytes};
}

Result<Device::Region> Device::region(std::uint32_t index) const {
  if (index == kConfigRegion)
    return Region{.size = hw::ConfigSpace::kSize, .readable = true, .writable = true};
  if (index == kRomRegion)
    return has_image_ ? Region{.size = pci().rom()->size, .readable = true} : Region{};
  if (index >= kBarRegions) return fail(Errno::kInval, "the device has no such region");
  const hw::Bar& bar = pci().bars()[index];
  if (bar.kind == hw::Bar::Kind::kNone) return Region{};
  return Region{.size = bar.size,
                .readable = true,
                .writable = true,
                .mappable = bar.plain_memory && bar.size >= kPageSize,
                .holds_msix_table = msix_bar_ == index};
}

bool Device::memory_enabled() const {
  if (asleep_) return false;
  // A VF has no memory enable of its own (vfio_pci: no_command_memory).
  if (pci().physical_function() != nullptr) return true;
  return (pci().config_read(kCommand, 2) & kCommandMemory) != 0;
}

Result<std::size_t> Device::read(std::uint32_t index, std::uint64_t at, std::span<std::byte> out) {
  const Awake awake(*this);
  if (index == kConfigRegion) {
    if (at + out.size() > hw::ConfigSpace::kSize || at + out.size() < at)
      return fail(Errno::kFault, "a read past the end of config space");
    return config_read(at, out);
  }
  if (index == kRomRegion) return read_rom(at, out);
  TEEIO_ASSIGN(const Region info, region(index));
  if (info.size == 0 || at >= info.size) return fail(Errno::kInval, "beyond the region's end");
  out = out.first(std::min<std::uint64_t>(out.size(), info.size - at));
  const schedule::ReadLock lock(memory_lock_);
  const hw::Bar& bar = pci().bars()[index];
  TEEIO_TRY(check_reachable(bar));
  if (bar.kind == hw::Bar::Kind::kIo) {
    by_ports(at, out, [&](std::uint64_t port, std::span<std::byte> part) {
      bar.target->mmio_read(port, part);
    });
    touched_bound(object::HostTouch::kRead);
    return out.size();
  }
  if (index != msix_bar_) {
    bar.target->mmio_read(at, out);
    touched_bound(object::HostTouch::kRead);
    return out.size();
  }
  // vfio_pci_core_do_io_rw()
  for (const Piece& piece : pieces(at, out.size(), msix_table_)) {
    const std::span<std::byte> part = out.subspan(piece.offset - at, piece.length);
    if (piece.msix_table)
      std::ranges::fill(part, std::byte{0xff});
    else
      pci().bars()[index].target->mmio_read(piece.offset, part);
  }
  touched_bound(object::HostTouch::kRead);
  return out.size();
}

Result<std::size_t> Device::write(std::uint32_t index, std::uint64_t at, ByteView in) {
  const Awake awake(*this);
  if (index == kConfigRegion) {
    if (at + in.size() > hw::ConfigSpace::kSize || at + in.size() < at)
      return fail(Errno::kFault, "a write past the end of config space");
    TEEIO_TRY(config_write(at, in));
    return in.size();
  }
  if (index == kRomRegion) return fail(Errno::kInval, "an expansion ROM cannot be written");
  TEEIO_ASSIGN(const Region info, region(index));
  if (info.size == 0 || at >= info.size) return fail(Errno::kInval, "beyond the region's end");
  in = in.first(std::min<std::uint64_t>(in.size(), info.size - at));
  const schedule::ReadLock lock(memory_lock_);
  const hw::Bar& bar = pci().bars()[index];
  TEEIO_TRY(check_reachable(bar));
  if (bar.kind == hw::Bar::Kind::kIo) {
    write_ports(*bar.target, at, in);
    touched_bound(object::HostTouch::kWrite);
    return in.size();
  }
  if (index != msix_bar_) {
    bar.target->mmio_write(at, in);
    touched_bound(object::HostTouch::kWrite);
    return in.size();
  }
  for (const Piece& piece : pieces(at, in.size(), msix_table_))
    if (!piece.msix_table)
      pci().bars()[index].target->mmio_write(piece.offset,
                                             in.subspan(piece.offset - at, piece.length));
  touched_bound(object::HostTouch::kWrite);
  return in.size();
}

// --- Mappings ---

void Device::set_mapped_file(std::unique_ptr<mm::MappedFile> file) {
  const schedule::WriteLock lock(memory_lock_);
  mapped_ = std::move(file);
}

bool Device::offer_mapped_file(std::unique_ptr<mm::MappedFile> file) {
  const schedule::WriteLock lock(memory_lock_);
  if (mapped_ != nullptr) return false;
  mapped_ = std::move(file);
  return true;
}

Result<void> Device::mmap(std::uint32_t index, std::uint64_t at, std::uint64_t length) {
  TEEIO_ASSIGN(const Region info, region(index));
  if (index >= kBarRegions || !info.mappable)
    return fail(Errno::kInval, "the region cannot be mapped");
  if (length == 0 || at + length < at || at + length > info.size)
    return fail(Errno::kInval, "beyond the region's end");
  const schedule::WriteLock lock(memory_lock_);
  if (bound_) return fail(Errno::kBusy, "the device is bound: its memory is the guest's");
  for (const Window& window : windows_)
    if (window.bar == index) return {};
  windows_.push_back({.bar = index, .exposed = false});
  // With memory off, or in low power, the mapping is made and faults until that is over.
  if (low_power_.engaged || !memory_enabled()) return {};
  auto exposed = expose(index);
  if (!exposed) windows_.pop_back();  // another try is one
  return exposed;
}

Result<void> Device::expose(std::uint32_t bar) {
  if (mapped_ == nullptr) return fail(Errno::kNoDev, "the file cannot be mapped");
  const hw::Bar& info = pci().bars()[bar];
  TEEIO_CHECK(info.plain != nullptr, "a mappable BAR has no plain memory");
  TEEIO_ASSIGN(const std::span<std::byte> bytes,
               mapped_->expose(static_cast<std::uint64_t>(bar) << kRegionShift, info.size));
  info.plain->relocate(bytes);
  for (Window& window : windows_)
    if (window.bar == bar) window.exposed = true;
  touched(object::Fact::kHostMapped, "BAR mapped", bar);
  return {};
}

/// vfio_pci_zap_bars(): contents go back to the device, mappings become SIGBUS.
void Device::zap_mappings() {
  bool any = false;
  for (Window& window : windows_) {
    if (!window.exposed) continue;
    pci().bars()[window.bar].plain->relocate({});
    window.exposed = false;
    any = true;
    touched(object::Fact::kHostMapRevoked, "BAR mappings revoked", window.bar);
  }
  if (any) mapped_->revoke();
}

void Device::restore_mappings() {
  if (bound_ || low_power_.engaged || !memory_enabled()) return;
  for (const Window& window : windows_)
    if (!window.exposed) (void)expose(window.bar);
}

}  // namespace teeio::vfio
