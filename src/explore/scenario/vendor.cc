#include "explore/scenario/vendor.h"

#include <algorithm>

#include "abi/proposed.h"
#include "explore/scenario/guest.h"

namespace teeio::explore {
namespace {

Result<void> ask_vm(Vmm& vmm, Bdf function) { return vmm.guest_enables_dma(function); }

// --- A VM's first pages ---

Result<void> begin_at_once(Vmm&) { return {}; }
Result<void> begin_td(Vmm& vmm) {
  TEEIO_TRY(vmm.make_vcpu());
  return vmm.tdx(vmm.vcpu, abi::KVM_TDX_INIT_VCPU, 0);
}

Result<void> populate_td(Vmm& vmm, Gpa page, std::uint64_t source) {
  abi::kvm_tdx_init_mem_region region{};
  region.source_addr = source;
  region.gpa = raw(page);
  region.nr_pages = 1;
  return vmm.tdx(vmm.vcpu, abi::KVM_TDX_INIT_MEM_REGION, vmm.store(bytes_of(region)));
}
Result<void> populate_realm(Vmm& vmm, Gpa page, std::uint64_t source) {
  abi::kvm_arm_rmi_populate region{};
  region.base = raw(page);
  region.size = kPageSize;
  region.source_uaddr = source;
  TEEIO_TRY(vmm.ioctl(vmm.vm, KVM_ARM_RMI_POPULATE, region));
  return {};
}
Result<void> populate_snp(Vmm& vmm, Gpa page, std::uint64_t source) {
  abi::kvm_sev_snp_launch_update update{};
  update.gfn_start = raw(page) >> kPageShift;
  update.uaddr = source;
  update.len = kPageSize;
  update.type = KVM_SEV_SNP_PAGE_TYPE_NORMAL;
  return vmm.sev(abi::KVM_SEV_SNP_LAUNCH_UPDATE, vmm.store(bytes_of(update)));
}

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
       .begin_populate = begin_td,
       .populate = populate_td,
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
       .begin_populate = begin_at_once,
       .populate = populate_realm,
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
       .begin_populate = begin_at_once,
       .populate = populate_snp,
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
