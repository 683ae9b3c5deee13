#include "report/select.h"

namespace teeio::report {

bool is_expected(const object::Event& event) {
  if (event.outcome == "TDX_IOMMU_IOTLB_TRACKING_NOT_REQUIRED") return true;  // nothing was cached
  if (event.outcome == "TDX_VCPU_NOT_ASSOCIATED") return true;                // nothing to flush
  // KVM makes the table and tries again: realm_map_protected() of the posted KVM patches.
  if (event.name.starts_with("RMI_RTT_D") && event.outcome == "RMI_ERROR_RTT" &&
      event.why.starts_with("there is no table"))
    return true;
  // KVM_EXIT_MEMORY_FAULT comes with EFAULT: Documentation/virt/kvm/api.rst.
  return event.name == "KVM_RUN" && event.outcome == "EFAULT";
}

}  // namespace teeio::report
