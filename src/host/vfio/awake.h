#pragma once

#include "host/vfio/device.h"

namespace teeio::vfio {

/// Keeps a function awake, and wakes it first (pm_runtime_resume_and_get(), pm_runtime_put()):
/// every call on its file and every access to its registers. One that has been woken tells its
/// user, if it gave an eventfd for that, and is in no low power any more; else it sleeps again
/// afterwards. Where its user has not asked for low power it is counted alone: who asks
/// meanwhile has the function sleep when all have ended.
class Awake {
 public:
  explicit Awake(Device& device) : device_(device) { device_.get_awake(); }
  ~Awake() { device_.put_awake(); }
  Awake(const Awake&) = delete;
  Awake& operator=(const Awake&) = delete;

 private:
  Device& device_;
};

}  // namespace teeio::vfio
