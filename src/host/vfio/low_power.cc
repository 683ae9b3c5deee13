#include <utility>

#include "host/vfio/device.h"

// Source: Linux drivers/vfio/pci/vfio_pci_core.c, vfio_pci_runtime_pm_entry(),
// vfio_pci_core_runtime_suspend(), vfio_pci_core_runtime_resume(); drivers/pci/pci-driver.c,
// pci_pm_runtime_suspend(), which moves the function to D3hot.

namespace teeio::vfio {
namespace {

constexpr std::uint32_t kD0 = 0, kD3hot = 3;

}  // namespace

/// Mappings and dma-bufs go, also where the entry is refused.
Result<void> Device::enter_low_power(object::Ref<mm::EventFd> wakeup) {
  for (;;) {
    {
      const schedule::WriteLock lock(memory_lock_);
      if (!bound_) {
        zap_mappings();
        move_dmabufs(true);
        if (low_power_.engaged) return fail(Errno::kInval, "the device is in low power already");
        low_power_.engaged = true;
        low_power_.wakeup = std::move(wakeup);
        engaged_.store(true);
        break;
      }
    }
    TEEIO_TRY(leave_bound("a move to a low power state"));
  }
  suspend();
  return {};
}

void Device::leave_low_power() {
  bool unmasks = false;
  {
    const schedule::WriteLock lock(memory_lock_);
    low_power_.wakeup.reset();
    wake();  // another call entered since this one began
    unmasks = forget_low_power();
    if (!bound_ && memory_enabled()) move_dmabufs(false);
  }
  if (unmasks) irqs_.unmask_intx();
}

/// __vfio_pci_runtime_pm_exit(). What faults from here on finds the BAR again. True: INTx is to
/// be unmasked, without memory_lock_. Calls under way stay counted: each ends by put_awake().
bool Device::forget_low_power() {
  if (low_power_.engaged) {
    low_power_.engaged = false;
    engaged_.store(false);
    low_power_.wakeup.reset();
    restore_mappings();
  }
  return std::exchange(low_power_.intx_masked, false);
}

void Device::wake() {
  if (!low_power_.suspended) return;
  auto call = trace().call(object::Lane::kVfio, "runtime resume", {.function = bdf()});
  low_power_.suspended = false;
  write_power_state(kD0);
  if (!low_power_.wakeup) return;
  low_power_.wakeup->signal();
  low_power_.intx_masked = forget_low_power();
}

bool Device::resume() {
  if (!engaged_.load()) return false;
  bool unmasks = false, stays = false;
  {
    const schedule::WriteLock lock(memory_lock_);
    wake();
    unmasks = std::exchange(low_power_.intx_masked, false);
    stays = low_power_.engaged;
    if (stays) ++low_power_.users;
  }
  if (unmasks) irqs_.unmask_intx();
  return stays;
}

void Device::put_awake() {
  {
    const schedule::WriteLock lock(memory_lock_);
    if (low_power_.users == 0 || --low_power_.users != 0) return;
  }
  suspend();
}

/// Not while it is bound, nor a PF with VFs, which keep it awake. A function without power
/// management is suspended in name only.
void Device::suspend() {
  const bool masked = irqs_.mask_intx();
  {
    const schedule::WriteLock lock(memory_lock_);
    const LowPower& now = low_power_;
    if (now.engaged && now.users == 0 && !now.suspended && !bound_ && !has_virtual_functions()) {
      auto call = trace().call(object::Lane::kVfio, "runtime suspend", {.function = bdf()});
      low_power_.suspended = true;
      low_power_.intx_masked = low_power_.intx_masked || masked;
      write_power_state(kD3hot);
      return;
    }
  }
  if (masked) irqs_.unmask_intx();
}

}  // namespace teeio::vfio
