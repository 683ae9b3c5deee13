#include <algorithm>

#include "host/vfio/device.h"
#include "host/vfio/pci_registers.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"

namespace teeio::vfio {

using object::HostTouch;

/// vfio_pci_config_rw(): by aligned pieces that belong to one capability.
std::size_t Device::config_read(std::uint64_t at, std::span<std::byte> out) {
  const schedule::ReadLock lock(memory_lock_);
  std::size_t done = 0;
  while (done < out.size()) {
    const auto offset = static_cast<std::uint16_t>(at + done);
    const unsigned size = config_.chunk(offset, out.size() - done);
    const std::uint32_t value = config_.read(offset, size);
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
    const unsigned size = config_.chunk(offset, in.size() - done);
    std::uint32_t value = 0;
    for (unsigned i = 0; i < size; ++i)
      value |= std::to_integer<std::uint32_t>(in[done + i]) << 8U * i;
    TEEIO_TRY(write_register(offset, size, value));
    done += size;
  }
  return {};
}

Result<void> Device::write_register(std::uint16_t at, unsigned size, std::uint32_t value) {
  if (config_.is_raw(at)) {
    pci().config_write(at, size, value);
    wiring_.tsm.program_wrote_config(pci(), at);
    return {};
  }
  if (!config_.is_writable(at, size)) return {};
  switch (config_.owner(at)) {
    case ConfigRule::Owner::kHeader:
      if (at == kCommand || at == kCommand + 1) return write_command_register(at, size, value);
      break;
    case ConfigRule::Owner::kPowerManagement:
      if (at == config_.start(at) + kPmControl) return write_power(at, size, value);
      break;
    case ConfigRule::Owner::kExpress:
      return write_express(at, size, value);
    case ConfigRule::Owner::kAdvancedFeatures:
      return write_advanced_features(at, size, value);
    case ConfigRule::Owner::kMsi:
    case ConfigRule::Owner::kNobody:
      break;
  }
  const schedule::WriteLock lock(memory_lock_);
  write_default(at, size, value);
  if (config_.owner(at) == ConfigRule::Owner::kMsi && at <= config_.start(at) + kMsiFlags &&
      at + size >= config_.start(at) + unsigned{kMsiFlags})
    fix_msi(config_.start(at));
  return {};
}

/// vfio_default_config_write().
void Device::write_default(std::uint16_t at, unsigned size, std::uint32_t value) {
  if (const auto to_device = config_.write(at, size, value))
    pci().config_write(at, size, *to_device);
}

/// vfio_msi_config_write(): MSI is enabled by VFIO_DEVICE_SET_IRQS, which also says how many
/// vectors there may be.
void Device::fix_msi(std::uint16_t start) {
  const auto at = static_cast<std::uint16_t>(start + kMsiFlags);
  const Irqs::MsiLimits limits = irqs_.msi_limits();
  std::uint32_t flags = config_.copy(at, 2);
  if (!limits.on) flags &= ~kMsiEnable;
  if ((flags & kMsiChosen) >> 4U > limits.most) flags = (flags & ~kMsiChosen) | limits.most << 4U;
  config_.set_copy(at, 2, flags);
  pci().config_write(at, 2, flags);
}

/// vfio_exp_config_write(): the FLR bit starts a reset and reads as zero, the largest
/// payload is the host's, the largest read request no less than that.
Result<void> Device::write_express(std::uint16_t at, unsigned size, std::uint32_t value) {
  const std::uint16_t start = config_.start(at);
  const auto control = static_cast<std::uint16_t>(start + kPcieDeviceControl);
  const bool resets = hw::flr_requested(start, at, size, value) && has_flr();
  for (;;) {
    if (resets) TEEIO_TRY(leave_bound("a reset"));
    const schedule::WriteLock lock(memory_lock_);
    if (resets && bound_) continue;  // a bind came in between
    const std::uint32_t before = config_.copy(control, 2) & kDevControlReadRequest;
    write_default(at, size, value);
    config_.set_copy(control, 2, config_.copy(control, 2) & ~kDevControlFlr);
    if (resets) (void)try_reset_function();
    if ((config_.copy(control, 2) & kDevControlReadRequest) != before) set_read_request(control);
    return {};
  }
}

/// pcie_set_readrq() of Linux drivers/pci/pci.c.
void Device::set_read_request(std::uint16_t control) {
  const std::uint32_t now = pci().config_read(control, 2);
  const std::uint32_t asked = config_.copy(control, 2) >> 12U & 7U;
  const std::uint32_t floor = now >> 5U & 7U;
  const std::uint32_t code = std::max(asked, floor);
  constexpr std::uint32_t k4096 = 5;
  if (code > k4096) return;
  pci().config_write(control, 2, (now & ~kDevControlReadRequest) | code << 12U);
}

/// vfio_af_config_write().
Result<void> Device::write_advanced_features(std::uint16_t at, unsigned size, std::uint32_t value) {
  const std::uint16_t start = config_.start(at);
  const auto control = static_cast<std::uint16_t>(start + kAfControl);
  const bool asked =
      at <= control && at + size > control && (value >> 8U * (control - at) & 1U) != 0;
  const std::uint32_t able =
      pci().config_read(static_cast<std::uint16_t>(start + kAfCapabilities), 1);
  const bool resets = asked && (able & kAfFlrAndPending) == kAfFlrAndPending;
  for (;;) {
    if (resets) TEEIO_TRY(leave_bound("a reset"));
    const schedule::WriteLock lock(memory_lock_);
    if (resets && bound_) continue;  // a bind came in between
    write_default(at, size, value);
    config_.set_copy(control, 1, config_.copy(control, 1) & ~1U);
    if (resets) (void)try_reset_function();
    return {};
  }
}

/// vfio_pm_config_write().
Result<void> Device::write_power(std::uint16_t at, unsigned size, std::uint32_t value) {
  const bool sleeps = (value & kPmStateMask) != 0;
  for (;;) {
    {
      const schedule::WriteLock lock(memory_lock_);
      if (!sleeps || !bound_) {
        write_default(at, size, value);
        set_power_state(value & kPmStateMask);
        return {};
      }
    }
    TEEIO_TRY(leave_bound("a move to a low power state"));
  }
}

/// vfio_lock_and_set_power_state(), vfio_pci_set_power_state(). A state that the function
/// does not have, and any sleep of a PF with VFs, is dropped.
void Device::set_power_state(std::uint32_t state) {
  constexpr std::uint32_t kD3hot = 3;
  if (state == kD3hot) {
    zap_mappings();
    move_dmabufs(true);
  }
  write_power_state(state);
  // A bound device's dma-bufs are given back by its unbind, which holds them by now maybe.
  if (!bound_ && memory_enabled()) move_dmabufs(false);
  restore_mappings();
}

void Device::write_power_state(std::uint32_t state) {
  constexpr std::uint32_t kD1 = 1, kD2 = 2, kD3hot = 3;
  const auto pm = hw::find_capability(pci(), kCapabilityPm);
  const std::uint32_t able =
      pm ? pci().config_read(static_cast<std::uint16_t>(*pm + kPmCapabilities), 2) : 0;
  const bool has = state == 0 || state == kD3hot || (state == kD1 && (able & kPmD1) != 0) ||
                   (state == kD2 && (able & kPmD2) != 0);
  if (pm && has && (state == 0 || !has_virtual_functions())) {
    const auto control = static_cast<std::uint16_t>(*pm + kPmControl);
    const std::uint32_t now = pci().config_read(control, 2);
    if ((now & kPmStateMask) != state)
      pci().config_write(control, 2, (now & ~kPmStateMask) | state);
    if (state != 0) touched_bound(HostTouch::kConfigWrite);
    asleep_ = state == kD3hot;
  }
}

bool Device::has_virtual_functions() const {
  const auto sriov = hw::find_extended_capability(pci(), kExtendedSriov);
  return sriov && (pci().config_read(static_cast<std::uint16_t>(*sriov + kSriovControl), 2) &
                   kSriovVfEnable) != 0;
}

/// vfio_basic_config_write(). INTx follows the program's bit, with no lock but its own.
Result<void> Device::write_command_register(std::uint16_t at, unsigned size, std::uint32_t value) {
  if (at == kCommand) TEEIO_TRY(write_command(at, size, value));
  bool disabled = false;
  {
    const schedule::WriteLock lock(memory_lock_);
    if (at != kCommand) write_default(at, size, value);
    disabled = (config_.copy(kCommand, 2) & kCommandIntxDisable) != 0;
  }
  irqs_.set_intx_disabled(disabled);
  return {};
}

/// The part of it for memory space and bus mastering: what the command register has now is looked
/// at with memory_lock held, and the write is made under the same hold.
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
  write_default(at, size, value);
  constexpr std::uint32_t kSpaces = kCommandMemory | kCommandIo;
  config_.set_copy(kCommand, 2, (config_.copy(kCommand, 2) & ~kSpaces) | (value & kSpaces));
  // What a locked TDI does not forgive: PCIe TDISP 11.2.6. Bits that are set it does.
  if (covers && (now & ~value & (kCommandMemory | kCommandMaster)) != 0)
    touched_bound(HostTouch::kConfigWrite);
  if (covers && (value & kCommandMemory) != 0 && (now & kCommandMemory) == 0) {
    move_dmabufs(false);
    restore_mappings();
  }
}

}  // namespace teeio::vfio
