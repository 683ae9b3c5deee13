#include "host/vfio/awake.h"
#include "host/vfio/device.h"
#include "host/vfio/pci_registers.h"
#include "hw/find_capability.h"
#include "schedule/consulted.h"
#include "schedule/seeded_bug.h"

namespace teeio::vfio {

bool Device::has_flr() const {
  const auto pcie = hw::find_capability(pci(), hw::kCapabilityPcie);
  const auto caps = static_cast<std::uint16_t>(pcie.value_or(0) + kPcieDeviceCapabilities);
  return pcie && (pci().config_read(caps, 4) & kDevCapFlr) != 0;
}

/// vfio_pci_ioctl_reset(). A bound function is unbound before anything else, as the posted series
/// has it ("[RFC PATCH 21/30] vfio/pci: Do TSM Unbind before zapping bars", 2025-05-29): for good,
/// also where the reset is refused.
Result<void> Device::reset(ResetBy by) {
  if (!has_flr()) return fail(Errno::kInval, "the function has no function-level reset");
  const Awake awake(*this);
  for (;;) {
    {
      const schedule::WriteLock lock(memory_lock_);
      if (!bound_) {
        if (by == ResetBy::kUser) {
          write_power_state(0);
          return try_reset_function();
        }
        reset_function();
        return {};
      }
    }
    TEEIO_TRY(leave_bound("a reset"));
  }
}

bool Device::is_device_locked() const { return wiring_.bus.device_locked(bdf()); }

Result<void> Device::try_reset_function() {
  if (!is_device_locked()) {
    reset_function();
    return {};
  }
  zap_mappings();
  move_dmabufs(true);
  if (memory_enabled()) move_dmabufs(false);
  restore_mappings();
  return fail(Errno::kAgain, kDeviceLocked);
}

void Device::reset_function(hw::ResetKind kind) {
  const bool hot = kind == hw::ResetKind::kHot;
  auto call = trace().call(object::Lane::kDevice, hot ? "hot reset" : "function-level reset",
                           {.function = bdf()});
  zap_mappings();
  move_dmabufs(true);
  reset_alone(SavedConfig(pci()), kind);
  irqs_.restore();
  asleep_ = false;
  const bool again = schedule::seeded("revoked-after-reset");
  if (memory_enabled()) move_dmabufs(/*revoked=*/again);
  restore_mappings();
}

void Device::reset_alone(const SavedConfig& saved, hw::ResetKind kind) {
  touched(object::Fact::kHostTouched, "function reset",
          static_cast<std::uint64_t>(object::HostTouch::kReset));
  pci().reset(kind);
  saved.restore(pci());
}

Result<void> Device::leave_bound(std::string_view) {
  {
    const schedule::ReadLock lock(memory_lock_);
    if (!bound_) return {};
  }
  schedule::consult("while_bound");
  switch (wiring_.policies.while_bound) {
    case WhileBound::kBlock:
      return fail(Errno::kBusy, "the device is bound to a VM: unbind it first");
    case WhileBound::kAutoUnbind:
      wiring_.tsm.unbind(bdf());
      return {};
  }
  return {};
}

}  // namespace teeio::vfio
