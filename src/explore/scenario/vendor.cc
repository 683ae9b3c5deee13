#include "explore/scenario/vendor.h"

#include <algorithm>

namespace teeio::explore {

std::span<const Vendor> vendors() {
  static constexpr Vendor kVendors[] = {
      {.tsm = machine::TsmKind::kTdx,
       .vm_type = kTdxVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX,
       .bind_locks = true,
       .guest_asks = abi::TSM_TDI_RUN,
       .runs_before_dma = false,
       .make_runnable = [](Vmm& vmm) { return vmm.finalize(); }},
      {.tsm = machine::TsmKind::kCca,
       .vm_type = kRealmVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA,
       .bind_locks = false,
       .guest_asks = abi::TSM_TDI_LOCKED,
       .runs_before_dma = true,
       .make_runnable = [](Vmm& vmm) { return vmm.make_vcpu(); }},
      {.tsm = machine::TsmKind::kSev,
       .vm_type = kSnpVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV,
       .bind_locks = true,
       .guest_asks = abi::TSM_TDI_RUN,
       .runs_before_dma = true,
       .make_runnable = [](Vmm& vmm) { return vmm.finish_snp(); }},
  };
  return kVendors;
}

const Vendor& vendor_of(machine::TsmKind tsm) {
  const auto row = std::ranges::find(vendors(), tsm, &Vendor::tsm);
  return row == vendors().end() ? vendors().front() : *row;
}

}  // namespace teeio::explore
