#include "abi/kvm.h"
#include "entry/kvm_handlers.h"

namespace teeio::entry {
namespace {

constexpr Row kSystem[] = {
    {KVM_GET_API_VERSION, "KVM_GET_API_VERSION", ioctl_get_api_version},
    {KVM_CREATE_VM, "KVM_CREATE_VM", ioctl_create_vm},
    {KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", ioctl_check_extension},
    {KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", ioctl_get_vcpu_mmap_size},
};

constexpr Row kVm[] = {
    {KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", ioctl_vm_check_extension},
    {KVM_CREATE_VCPU, "KVM_CREATE_VCPU", ioctl_create_vcpu, Support::kPartial,
     "one vCPU is what the guest engine is tested with; no in-kernel irqchip"},
    {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", ioctl_set_user_memory_region},
    {KVM_SET_USER_MEMORY_REGION2, "KVM_SET_USER_MEMORY_REGION2", ioctl_set_user_memory_region2,
     Support::kPartial, "dirty logging is accepted and logs nothing"},
    {KVM_SET_MEMORY_ATTRIBUTES, "KVM_SET_MEMORY_ATTRIBUTES", ioctl_set_memory_attributes},
    {KVM_CREATE_GUEST_MEMFD, "KVM_CREATE_GUEST_MEMFD", ioctl_create_guest_memfd, Support::kPartial,
     "no flags: neither MMAP nor INIT_SHARED"},
    {KVM_CREATE_DEVICE, "KVM_CREATE_DEVICE", ioctl_create_device, Support::kPartial,
     "KVM_DEV_TYPE_VFIO only"},
    {KVM_MEMORY_ENCRYPT_OP, "KVM_MEMORY_ENCRYPT_OP", ioctl_vm_memory_encrypt_op, Support::kPartial,
     "TDX: CAPABILITIES, INIT_VM, FINALIZE_VM; CPUID and MR* values are kept out. SNP: INIT2, "
     "SNP_LAUNCH_*; no ID block, sev_fd is not looked at"},
};

constexpr Row kVcpu[] = {
    {KVM_RUN, "KVM_RUN", ioctl_run, Support::kPartial,
     "no interrupts, no #VE, no exceptions through the guest's IDT; code segments start at 0"},
    {KVM_GET_REGS, "KVM_GET_REGS", ioctl_get_regs},
    {KVM_SET_REGS, "KVM_SET_REGS", ioctl_set_regs},
    {KVM_GET_SREGS, "KVM_GET_SREGS", ioctl_get_sregs},
    {KVM_SET_SREGS, "KVM_SET_SREGS", ioctl_set_sregs},
    {KVM_PRE_FAULT_MEMORY, "KVM_PRE_FAULT_MEMORY", ioctl_pre_fault_memory},
    {KVM_MEMORY_ENCRYPT_OP, "KVM_MEMORY_ENCRYPT_OP", ioctl_vcpu_memory_encrypt_op,
     Support::kPartial, "TDX: INIT_VCPU, INIT_MEM_REGION; nothing is measured"},
};

constexpr Row kVfioDevice[] = {
    {KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", ioctl_set_device_attr},
    {KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", ioctl_get_device_attr},
    {KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", ioctl_has_device_attr},
};

}  // namespace

std::span<const Row> kvm_rows() { return kSystem; }
std::span<const Row> kvm_vm_rows() { return kVm; }
std::span<const Row> kvm_vcpu_rows() { return kVcpu; }
std::span<const Row> kvm_vfio_rows() { return kVfioDevice; }

}  // namespace teeio::entry
