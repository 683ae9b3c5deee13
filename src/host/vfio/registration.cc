#include "base/check.h"
#include "host/vfio/device.h"
#include "object/waits_for_closes.h"

// Source: Linux drivers/vfio/vfio_main.c, vfio_device_put_registration() and
// vfio_unregister_group_dev().

namespace teeio::vfio {
namespace {

constexpr std::uint64_t kAskAgainNs = 10'000'000'000;  // HZ * 10

}  // namespace

bool Device::get_registration() {
  const schedule::Lock lock(registration_lock_);
  if (leaving_) return false;
  ++registrations_;
  return true;
}

void Device::put_registration() {
  const schedule::Lock lock(registration_lock_);
  TEEIO_CHECK(registrations_ != 0, "a device's registration is put twice");
  if (--registrations_ == 0 && leaving_) unregistered_.notify_all();
}

void Device::unregister() {
  {
    const schedule::Lock lock(registration_lock_);
    leaving_ = true;
    if (registrations_ == 0) return;
  }
  auto call = trace().call(object::Lane::kVfio, "wait for the last close", {.function = bdf()});
  const object::WaitsForCloses waits;
  for (bool asks = true;;) {
    if (asks) irqs_.request_release();
    const schedule::Lock lock(registration_lock_);
    if (registrations_ == 0) return;
    asks = !unregistered_.wait_for(registration_lock_, kAskAgainNs);
  }
}

}  // namespace teeio::vfio
