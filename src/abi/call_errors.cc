#include "abi/call_errors.h"

#include <algorithm>

namespace teeio::abi {
namespace {

using enum Errno;

constexpr CallError kErrors[] = {
    // System calls
    {"open", kNoMem, "alloc_empty_file()"},
    {"open", kMFile, "get_unused_fd_flags(): RLIMIT_NOFILE"},
    {"open", kNFile, "alloc_empty_file(): fs.file-max"},
    {"read", kIo, "vfio_pci_core_do_io_rw(): memory space is disabled"},
    {"write", kIo, "vfio_pci_core_do_io_rw(): memory space is disabled"},
    {"attribute-read", kNoMem, "seq_read_iter()"},
    {"attribute-read", kNoDev, "kernfs_seq_start(): the device is being removed"},
    {"attribute-read", kIntr, "tsm.c, connect_show() and bound_show(): rwsem_read_intr"},
    {"attribute-write", kNoMem, "kernfs_fop_write_iter()"},
    {"attribute-write", kNoDev, "kernfs_fop_write_iter(): the device is being removed"},
    {"attribute-write", kBusy, "tsm.c, connect_store(): connected by somebody else meanwhile"},
    {"attribute-write", kIo, "tsm.c, connect_store(): pci_doe() failed"},
    {"mmap", kNoMem, "__mmap_region(): vm_area_alloc(), or vm.max_map_count"},
    {"mmap", kAgain, "do_mmap(): RLIMIT_MEMLOCK, with MCL_FUTURE"},
    {"fallocate", kNoMem, "kvm_gmem_allocate(): filemap_grab_folio()"},
    {"fallocate", kIntr, "kvm_gmem_allocate(): signal_pending()"},
    // iommufd
    {"IOMMU_DESTROY", kBusy, "iommufd_object_remove(): the object is in use"},
    {"IOMMU_IOAS_ALLOC", kNoMem, "_iommufd_object_alloc()"},
    {"IOMMU_IOAS_ALLOW_IOVAS", kNoMem, "iopt_set_allow_iova()"},
    {"IOMMU_IOAS_COPY", kNoMem, "iopt_map_pages()"},
    {"IOMMU_IOAS_COPY", kNoSpc, "iopt_alloc_iova()"},
    {"IOMMU_IOAS_MAP", kNoMem, "pfn_reader_user_pin(), or RLIMIT_MEMLOCK in do_update_pinned()"},
    {"IOMMU_IOAS_MAP", kNoSpc, "iopt_alloc_iova()"},
    {"IOMMU_IOAS_MAP_FILE", kNoMem, "pin_memfd_pages(), or RLIMIT_MEMLOCK"},
    {"IOMMU_IOAS_MAP_FILE", kNoSpc, "iopt_alloc_iova()"},
    {"IOMMU_IOAS_UNMAP", kBusy, "iopt_unmap_iova_range(): an access holds the area"},
    {"IOMMU_IOAS_UNMAP", kNoEnt, "iopt_unmap_iova_range(): another thread was first"},
    {"IOMMU_HWPT_ALLOC", kNoMem, "iommufd_hwpt_paging_alloc()"},
    {"IOMMU_HWPT_ALLOC", kBusy, "iommufd_hwpt_alloc(): the object is being destroyed"},
    {"IOMMU_GET_HW_INFO", kNoMem, "the driver's hw_info()"},
    {"IOMMU_VIOMMU_ALLOC", kNoMem, "iommufd_viommu_alloc_ioctl()"},
    {"IOMMU_VDEVICE_ALLOC", kNoMem, "iommufd_vdevice_alloc_ioctl()"},
    {"IOMMU_VDEVICE_ALLOC", kExist, "iommufd_vdevice_alloc_ioctl(): somebody else has the id"},
    {"IOMMU_VDEVICE_TSM_OP", kIntr, "pci_tsm_bind(): mutex_intr"},
    {"IOMMU_VDEVICE_TSM_OP", kNoMem, "the TSM driver's bind()"},
    {"IOMMU_VDEVICE_TSM_OP", kBusy, "pci_tsm_bind(): bound to another VM"},
    {"IOMMU_VDEVICE_TSM_OP", kIo, "the TSM driver's bind(): pci_doe() failed"},
    {"IOMMU_VDEVICE_TSM_REQ", kIntr, "pci_tsm_guest_req(): rwsem_read_intr, mutex_intr"},
    {"IOMMU_VDEVICE_TSM_REQ", kNoMem, "the TSM driver's guest_req()"},
    {"IOMMU_VDEVICE_TSM_REQ", kNxio, "pci_tsm_guest_req(): unbound meanwhile"},
    {"IOMMU_VDEVICE_TSM_REQ", kIo, "the TSM driver's guest_req(): pci_doe() failed"},

    {"VFIO_IOMMU_MAP_DMA", kNoMem, "iopt_map_user_pages()"},
    {"VFIO_IOMMU_UNMAP_DMA", kBusy, "iopt_unmap_iova(): an access holds the area"},
    // VFIO
    {"VFIO_DEVICE_BIND_IOMMUFD", kNoMem, "iommufd_device_bind()"},
    {"VFIO_DEVICE_BIND_IOMMUFD", kBusy, "iommu_device_claim_dma_owner(): another owner"},
    {"VFIO_DEVICE_BIND_IOMMUFD", kNoDev, "vfio_df_device_first_open(): the module is going"},
    {"VFIO_DEVICE_ATTACH_IOMMUFD_PT", kNoMem, "iommufd_device_auto_get_domain()"},
    {"VFIO_DEVICE_ATTACH_IOMMUFD_PT", kBusy, "iommu_attach_group_handle(): a reset is under way"},
    {"VFIO_DEVICE_GET_REGION_INFO", kNoMem, "vfio_info_cap_add()"},
    {"VFIO_DEVICE_SET_IRQS", kNoMem, "vfio_msi_enable()"},
    {"VFIO_DEVICE_SET_IRQS", kNoSpc, "pci_alloc_irq_vectors()"},
    {"VFIO_DEVICE_RESET", kAgain, "pci_try_reset_function(): the device is locked"},
    {"VFIO_DEVICE_RESET", kIo, "pcie_flr(): the device does not come back"},
    {"VFIO_DEVICE_FEATURE", kNoMem, "vfio_pci_core_feature_dma_buf()"},
    {"VFIO_DEVICE_FEATURE", kMFile, "dma_buf_fd(): RLIMIT_NOFILE"},
    {"VFIO_DEVICE_PCI_HOT_RESET", kAgain, "pci_reset_bus(): a device is locked"},
    {"VFIO_DEVICE_PCI_HOT_RESET", kNoMem, "vfio_pci_ioctl_pci_hot_reset_groups()"},
    {"VFIO_DEVICE_TSM_BIND", kIntr, "pci_tsm_bind(): mutex_intr"},
    {"VFIO_DEVICE_TSM_BIND", kNoMem, "the TSM driver's bind()"},
    {"VFIO_DEVICE_TSM_BIND", kBusy, "pci_tsm_bind(), pci_request_regions(): somebody has it"},
    {"VFIO_DEVICE_TSM_BIND", kIo, "the TSM driver's bind(): pci_doe() failed"},
    // KVM
    {"KVM_CREATE_VM", kIntr, "mm_take_all_locks(): signal_pending()"},
    {"KVM_CREATE_VM", kNoMem, "kvm_create_vm()"},
    {"KVM_CREATE_VM", kMFile, "kvm_dev_ioctl_create_vm(): RLIMIT_NOFILE"},
    {"KVM_CREATE_VM", kBusy, "kvm_enable_virtualization(): no CPU can"},
    {"KVM_CREATE_VCPU", kNoMem, "kvm_vm_ioctl_create_vcpu()"},
    {"KVM_CREATE_VCPU", kMFile, "create_vcpu_fd(): RLIMIT_NOFILE"},
    {"KVM_CREATE_DEVICE", kNoMem, "kvm_ioctl_create_device()"},
    {"KVM_CREATE_DEVICE", kMFile, "anon_inode_getfd(): RLIMIT_NOFILE"},
    {"KVM_SET_DEVICE_ATTR", kNoMem, "kvm_vfio_file_add()"},
    {"KVM_CREATE_GUEST_MEMFD", kNoMem, "__kvm_gmem_create()"},
    {"KVM_CREATE_GUEST_MEMFD", kMFile, "__kvm_gmem_create(): RLIMIT_NOFILE"},
    {"KVM_SET_USER_MEMORY_REGION", kNoMem, "kvm_set_memory_region()"},
    {"KVM_SET_USER_MEMORY_REGION2", kNoMem, "kvm_set_memory_region()"},
    {"KVM_SET_MEMORY_ATTRIBUTES", kNoMem, "kvm_vm_set_mem_attributes(): xa_reserve()"},
    {"KVM_SET_CPUID2", kNoMem, "vmemdup_array_user()"},
    {"KVM_RUN", kIntr, "kvm_arch_vcpu_ioctl_run(), xfer_to_guest_mode_handle_work()"},
    {"KVM_RUN", kAgain, "kvm_arch_vcpu_ioctl_run(): the vCPU is not runnable yet"},
    {"KVM_PRE_FAULT_MEMORY", kIntr, "kvm_vcpu_pre_fault_memory(): signal_pending()"},
    {"KVM_PRE_FAULT_MEMORY", kAgain, "kvm_tdp_map_page(): the slots are changing"},
    {"KVM_PRE_FAULT_MEMORY", kNoMem, "mmu_topup_memory_caches()"},
    {"KVM_MEMORY_ENCRYPT_OP", kIntr, "tdx_vcpu_init_mem_region(): signal_pending()"},
    {"KVM_MEMORY_ENCRYPT_OP", kNoMem, "__tdx_td_init(), tdx_td_vcpu_init()"},
    {"KVM_MEMORY_ENCRYPT_OP", kBusy, "tdx_gmem_post_populate(), tdx_td_finalize(): OPERAND_BUSY"},
    {"KVM_MEMORY_ENCRYPT_OP", kNoSpc, "misc_cg_try_charge(), tdx_guest_keyid_alloc(): no key"},
    {"KVM_MEMORY_ENCRYPT_OP", kAgain, "__tdx_td_init(): the entropy of the CPU ran out"},
};

}  // namespace

std::span<const CallError> call_errors() { return kErrors; }

std::span<const CallError> errors_of(std::string_view call) {
  const auto begin = std::ranges::find(kErrors, call, &CallError::call);
  const auto end = std::find_if(begin, std::end(kErrors),
                                [call](const CallError& row) { return row.call != call; });
  return {begin, end};
}

std::vector<std::string_view> calls_with_errors() {
  std::vector<std::string_view> calls;
  for (const CallError& row : kErrors)
    if (calls.empty() || calls.back() != row.call) calls.push_back(row.call);
  return calls;
}

}  // namespace teeio::abi
