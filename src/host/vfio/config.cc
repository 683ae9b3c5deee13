#include "host/vfio/device.h"
#include "host/vfio/pci_registers.h"
#include "hw/find_capability.h"

namespace teeio::vfio {

using object::HostTouch;

namespace {

/// The largest naturally aligned access at `at` that fits into `left` bytes.
unsigned access_size(std::uint64_t at, std::size_t left) {
  if (at % 4 == 0 && left >= 4) return 4;
  if (at % 2 == 0 && left >= 2) return 2;
  return 1;
}

bool inside(std::uint64_t at, unsigned size, std::uint64_t start, std::uint64_t length) {
  return at < start + length && start < at + size;
}

}  // namespace

/// vfio_config_do_rw(): config space through the device, BARs as the program
/// wrote them (vfio_bar_fixup()).
std::size_t Device::config_read(std::uint64_t at, std::span<std::byte> out) {
  const schedule::ReadLock lock(memory_lock_);
  std::size_t done = 0;
  while (done < out.size()) {
    const auto offset = static_cast<std::uint16_t>(at + done);
    const unsigned size = access_size(offset, out.size() - done);
    std::uint32_t value = 0;
    if (inside(offset, size, kBar0, 4 * kBarRegions)) {
      const unsigned bar = (offset - kBar0) / 4U;
      value = virtual_bars_[bar] >> 8U * ((offset - kBar0) % 4U);
    } else {
      value = pci().config_read(offset, size);
    }
    for (unsigned i = 0; i < size; ++i)
      out[done + i] = static_cast<std::byte>(value >> 8U * i & 0xffU);
    done += size;
  }
  return done;
}

Result<void> Device::config_write(std::uint64_t at, ByteView in) {
  std::size_t done = 0;
  while (done < in.size()) {
    const auto offset = static_cast<std::uint16_t>(at + done);
    const unsigned size = access_size(offset, in.size() - done);
    std::uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i)
      value |= std::to_integer<std::uint32_t>(in[done + i]) << 8U * i;
    TEEIO_TRY(write_register(offset, size, value));
    done += size;
  }
  return {};
}

Result<void> Device::write_register(std::uint16_t at, unsigned size, std::uint32_t value) {
  if (inside(at, size, kCommand, 2)) return write_command(at, size, value);
  if (inside(at, size, kBar0, 4 * kBarRegions)) {
    // Only the program's own copy: the host has placed the BARs.
    const schedule::WriteLock lock(memory_lock_);
    const unsigned bar = (at - kBar0) / 4U;
    const hw::Bar& low = pci().bars()[bar];
    const bool upper = bar > 0 && pci().bars()[bar - 1].kind == hw::Bar::Kind::kMemory64;
    const std::uint64_t bytes = upper ? pci().bars()[bar - 1].size : low.size;
    if (bytes == 0) return {};
    const std::uint32_t flags = upper ? 0 : virtual_bars_[bar] & 0xfU;
    const std::uint64_t mask = ~(bytes - 1);
    const unsigned shift = 8U * ((at - kBar0) % 4U);
    const std::uint32_t written = (size == 4 ? ~0U : (1U << 8U * size) - 1) << shift;
    const std::uint32_t merged = (virtual_bars_[bar] & ~written) | value << shift;
    virtual_bars_[bar] = upper ? merged & static_cast<std::uint32_t>(mask >> 32U)
                               : (merged & static_cast<std::uint32_t>(mask) & ~0xfU) | flags;
    return {};
  }
  if (inside(at, size, kRomBar, 4)) return {};
  if (const auto msix = hw::find_capability(pci(), kCapabilityMsix);
      msix && inside(at, size, *msix + kMsixControl, 2))
    return {};  // VFIO_DEVICE_SET_IRQS owns it

  const auto pcie = hw::find_capability(pci(), hw::kCapabilityPcie);
  const bool flr = pcie && inside(at, size, *pcie + kPcieDeviceControl, 2) &&
                   (value << 8U * (at & 1U) & kDevControlFlr) != 0;
  if (flr) return reset();  // vfio_exp_config_write()
  const auto pm = hw::find_capability(pci(), kCapabilityPm);
  if (pm && at == *pm + kPmControl) return write_power(at, size, value);
  pci().config_write(at, size, value);
  return {};
}

/// vfio_pm_config_write(), vfio_lock_and_set_power_state().
Result<void> Device::write_power(std::uint16_t at, unsigned size, std::uint32_t value) {
  const bool sleeps = (value & kPmStateMask) != 0;
  for (;;) {
    {
      const schedule::WriteLock lock(memory_lock_);
      if (!sleeps || !bound_) {
        set_power(at, size, value);
        return {};
      }
    }
    TEEIO_TRY(leave_bound("a move to a low power state"));
  }
}

void Device::set_power(std::uint16_t at, unsigned size, std::uint32_t value) {
  const bool sleeps = (value & kPmStateMask) != 0;
  if (sleeps) {
    zap_mappings();
    move_dmabufs(true);
  }
  pci().config_write(at, size, value);
  if (sleeps) return touched_bound(HostTouch::kConfigWrite);
  if (memory_enabled()) move_dmabufs(false);
  restore_mappings();
}

/// vfio_basic_config_write(): what the command register has now is looked at with
/// memory_lock held, and the write is made under the same hold.
Result<void> Device::write_command(std::uint16_t at, unsigned size, std::uint32_t value) {
  for (;;) {
    {
      const schedule::WriteLock lock(memory_lock_);
      const std::uint32_t now = pci().config_read(kCommand, 2);
      const std::uint32_t lost =
          at == kCommand ? now & ~value & (kCommandMemory | kCommandMaster) : 0;
      if (lost == 0 || !bound_) {
        set_command(at, size, value, now);
        return {};
      }
    }
    TEEIO_TRY(leave_bound("clearing memory enable or bus mastering"));
  }
}

/// Memory off zaps mappings and revokes dma-bufs before the write, memory on
/// brings them back after it.
void Device::set_command(std::uint16_t at, unsigned size, std::uint32_t value, std::uint32_t now) {
  const bool covers = at == kCommand;
  if (covers && (now & ~value & kCommandMemory) != 0) {
    zap_mappings();
    move_dmabufs(true);
  }
  pci().config_write(at, size, value);
  // What a locked TDI does not forgive: PCIe TDISP 11.2.6. Bits that are set it does.
  if (covers && (now & ~value & (kCommandMemory | kCommandMaster)) != 0)
    touched_bound(HostTouch::kConfigWrite);
  if (covers && (value & kCommandMemory) != 0 && (now & kCommandMemory) == 0) {
    move_dmabufs(false);
    restore_mappings();
  }
}

}  // namespace teeio::vfio
