#include "host/vfio/device.h"
#include "schedule/seeded_bug.h"

namespace teeio::vfio {

Result<void> Device::tsm_bind(std::uint32_t vdevice_id) {
  const schedule::Lock lock(set().lock);
  if (idevice_ == nullptr) return fail(Errno::kInval, "the device is not bound to an iommufd");
  return idevice_->tsm_bind(vdevice_id);
}

Result<void> Device::tsm_unbind() {
  const schedule::Lock lock(set().lock);
  if (idevice_ == nullptr) return fail(Errno::kInval, "the device is not bound to an iommufd");
  idevice_->tsm_unbind();
  return {};
}

void Device::hold_mmio() {
  const schedule::WriteLock lock(memory_lock_);
  for (dmabuf::DmaBuf* buffer : dmabufs_)
    if (buffer->add_ref_unless_zero()) object::Ref<dmabuf::DmaBuf>::adopt(buffer)->hold();
}

void Device::disable_mmio() {
  auto call = trace().call(object::Lane::kVfio, "disable_mmio", {.function = bdf()});
  const schedule::WriteLock lock(memory_lock_);
  move_dmabufs(true);
}

void Device::recover_mmio() {
  auto call = trace().call(object::Lane::kVfio, "recover_mmio", {.function = bdf()});
  const schedule::WriteLock lock(memory_lock_);
  if (memory_enabled() && !low_power_.engaged) move_dmabufs(false);  // else the exit does
}

void Device::set_bound(bool bound) {
  const bool too_early = bound && schedule::seeded("zap-races-d0");
  if (too_early) {
    const schedule::WriteLock lock(memory_lock_);
    zap_mappings();
  }
  const schedule::WriteLock lock(memory_lock_);
  if (bound) wake();
  bound_ = bound;
  if (!bound) {
    restore_mappings();
    suspend();  // its user may have let it sleep before the bind
  } else if (!too_early) {
    zap_mappings();
  }
}

}  // namespace teeio::vfio
