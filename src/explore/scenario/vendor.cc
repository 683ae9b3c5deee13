#include "explore/scenario/vendor.h"

#include <algorithm>

#include "explore/scenario/guest.h"

namespace teeio::explore {
namespace {

Result<void> ask_vm(Vmm& vmm, Bdf function) { return vmm.guest_enables_dma(function); }

}  // namespace

std::span<const Vendor> vendors() {
  static constexpr Vendor kVendors[] = {
      {.tsm = machine::TsmKind::kTdx,
       .vm_type = kTdxVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX,
       .bind_locks = true,
       .guest_asks = abi::TSM_TDI_RUN,
       .runs_before_dma = false,
       .make_runnable = [](Vmm& vmm) { return vmm.finalize(); },
       .enable_dma = ask_vm,
       .attest = attest_tdx,
       .start = start_tdx},
      {.tsm = machine::TsmKind::kCca,
       .vm_type = kRealmVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA,
       .bind_locks = false,
       .guest_asks = abi::TSM_TDI_LOCKED,
       .runs_before_dma = true,
       .make_runnable = [](Vmm& vmm) { return vmm.make_vcpu(); },
       .enable_dma = ask_vm,
       .attest = attest_cca,
       .start = start_cca},
      {.tsm = machine::TsmKind::kSev,
       .vm_type = kSnpVm,
       .request_arch = abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV,
       .bind_locks = true,
       .guest_asks = abi::TSM_TDI_RUN,
       .runs_before_dma = true,
       .make_runnable = [](Vmm& vmm) { return vmm.finish_snp(); },
       .enable_dma = write_sdte,
       .attest = attest_sev,
       .start = start_sev},
  };
  return kVendors;
}

const Vendor& vendor_of(machine::TsmKind tsm) {
  const auto row = std::ranges::find(vendors(), tsm, &Vendor::tsm);
  return row == vendors().end() ? vendors().front() : *row;
}

}  // namespace teeio::explore
