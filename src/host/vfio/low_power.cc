#include <utility>

#include "base/check.h"
#include "host/vfio/device.h"

// Source: Linux drivers/vfio/pci/vfio_pci_core.c, vfio_pci_runtime_pm_entry(),
// vfio_pci_core_runtime_suspend(), vfio_pci_core_runtime_resume(); drivers/pci/pci-driver.c,
// pci_pm_runtime_suspend(), which moves the function to D3hot.

namespace teeio::vfio {
namespace {

constexpr std::uint32_t kD0 = 0, kD3hot = 3;

}  // namespace

/// Mappings and dma-bufs go, also where the entry is refused. The function sleeps when the calls
/// under way, this one among them, have ended.
Result<void> Device::enter_low_power(object::Ref<mm::EventFd> wakeup) {
  for (;;) {
    {
      const schedule::WriteLock lock(memory_lock_);
      if (!bound_) {
        zap_mappings();
        move_dmabufs(true);
        if (low_power_.engaged) return fail(Errno::kInval, "the device is in low power already");
        engage(true);
        low_power_.wakeup = std::move(wakeup);
        return {};
      }
    }
    TEEIO_TRY(leave_bound("a move to a low power state"));
  }
}

void Device::leave_low_power() {
  const schedule::WriteLock lock(memory_lock_);
  TEEIO_CHECK(!low_power_.suspended, "a function sleeps during a call on it");
  disengage();
  if (!bound_ && memory_enabled()) move_dmabufs(false);
}

void Device::engage(bool engaged) {
  low_power_.engaged = engaged;
  awake_.engage(engaged);
  engaged_.store(engaged);
}

/// __vfio_pci_runtime_pm_exit(). What faults from here on finds the BAR again.
void Device::disengage() {
  if (!low_power_.engaged) return;
  engage(false);
  low_power_.wakeup.reset();
  restore_mappings();
}

/// The program's own mask of INTx cannot come in between: who would set it is Awake, and waits
/// for memory_lock (Linux: for a resume that is under way).
void Device::wake() {
  if (!low_power_.suspended) return;
  auto call = trace().call(object::Lane::kVfio, "runtime resume", {.function = bdf()});
  low_power_.suspended = false;
  write_power_state(kD0);
  const bool leaves = static_cast<bool>(low_power_.wakeup);
  if (leaves) low_power_.wakeup->signal();
  // Before it is engaged no more: who sees that does not wait.
  if (std::exchange(low_power_.intx_masked, false)) irqs_.unmask_intx();
  if (leaves) disengage();
}

/// pm_runtime_resume_and_get().
void Device::get_awake() {
  awake_.begin();
  if (!engaged_.load()) return;  // who enters from here on sees the count
  const schedule::WriteLock lock(memory_lock_);
  wake();
}

/// pm_runtime_put().
void Device::put_awake() {
  if (!awake_.end()) return;
  const schedule::WriteLock lock(memory_lock_);
  suspend();
}

/// Not while it is bound, nor a PF with VFs, which keep it awake. A function without power
/// management is suspended in name only.
void Device::suspend() {
  if (!low_power_.engaged || awake_.any() || low_power_.suspended || bound_ ||
      has_virtual_functions())
    return;
  auto call = trace().call(object::Lane::kVfio, "runtime suspend", {.function = bdf()});
  low_power_.suspended = true;
  low_power_.intx_masked = irqs_.mask_intx();
  write_power_state(kD3hot);
}

}  // namespace teeio::vfio
