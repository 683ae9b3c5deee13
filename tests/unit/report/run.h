#pragma once

#include <string>

#include "object/trace.h"

namespace teeio::report {

/// A small run that has everything a picture must show: nested calls, states, a
/// refusal, and a loop that folds.
class SmallRun {
 public:
  static constexpr Bdf kVf{.domain = 0, .bus = 1, .device = 0, .function = 1};

  SmallRun() { trace.keep_events(true); }

  void bind() {
    using namespace object;
    auto ioctl = trace.call(Lane::kVmm, Lane::kVfio, "VFIO_DEVICE_TSM_BIND", {.function = kVf});
    auto bind = trace.call(Lane::kIommufd, "iommufd_device_tsm_bind", {.function = kVf});
    auto tsm = trace.call(Lane::kHostTsm, "bind", {.function = kVf, .vm = 1});
    auto lock = trace.call(Lane::kDevice, "LOCK_INTERFACE", {.function = kVf});
    trace.fact(Lane::kDevice, Fact::kTdiState, "CONFIG_LOCKED", {.function = kVf, .a = 0, .b = 1});
    lock.outcome("state=CONFIG_LOCKED");
  }
  void map_pages(int pages) {
    using namespace object;
    auto ioctl = trace.call(Lane::kVmm, Lane::kKvm, "KVM_PRE_FAULT_MEMORY", {.vm = 1});
    for (int i = 0; i < pages; ++i) {
      const auto gpa = static_cast<std::uint64_t>(i) << 12U;
      auto map = trace.call(Lane::kFirmware, "TDH.MMIO.MAP",
                            {.detail = "gpa=" + std::to_string(gpa), .vm = 1});
      trace.fact(Lane::kFirmware, Fact::kMmioMapped, "MMIO mapped",
                 {.function = kVf, .vm = 1, .a = gpa});
    }
  }
  void refused_reset() {
    using namespace object;
    auto reset = trace.call(Lane::kVmm, Lane::kVfio, "VFIO_DEVICE_RESET", {.function = kVf});
    reset.refuse({Errno::kBusy, "the device is bound to a VM: unbind it first"});
  }

  object::Trace trace;
};

}  // namespace teeio::report
