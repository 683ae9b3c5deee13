#include "abi/kvm.h"
#include "abi/proposed.h"
#include "entry/argument.h"
#include "entry/kvm_capabilities.h"

namespace teeio::entry {
namespace {

constexpr Word kMemoryFlags[] = {TEEIO_MACRO(KVM_MEM_LOG_DIRTY_PAGES),
                                 TEEIO_MACRO(KVM_MEM_READONLY), TEEIO_MACRO(KVM_MEM_GUEST_MEMFD),
                                 TEEIO_MACRO(KVM_MEM_VFIO_DMABUF)};
constexpr Word kAttributeFlags[] = {TEEIO_MACRO(KVM_MEMORY_ATTRIBUTE_PRIVATE)};
constexpr Word kGmemFlags[] = {TEEIO_MACRO(GUEST_MEMFD_FLAG_MMAP),
                               TEEIO_MACRO(GUEST_MEMFD_FLAG_INIT_SHARED)};
constexpr Word kDeviceTypes[] = {TEEIO_WORD(KVM_DEV_TYPE_FSL_MPIC_20),
                                 TEEIO_WORD(KVM_DEV_TYPE_FSL_MPIC_42),
                                 TEEIO_WORD(KVM_DEV_TYPE_XICS), TEEIO_WORD(KVM_DEV_TYPE_VFIO),
                                 TEEIO_WORD(KVM_DEV_TYPE_ARM_VGIC_V2)};
constexpr Word kDeviceFlags[] = {TEEIO_MACRO(KVM_CREATE_DEVICE_TEST)};
constexpr Word kDeviceGroups[] = {TEEIO_MACRO(KVM_DEV_VFIO_FILE)};
constexpr Word kDeviceAttrs[] = {TEEIO_MACRO(KVM_DEV_VFIO_FILE_ADD),
                                 TEEIO_MACRO(KVM_DEV_VFIO_FILE_DEL)};

constexpr Field kRegion[] = {TEEIO_FIELD(kvm_userspace_memory_region, slot, kNumber),
                             TEEIO_FIELD(kvm_userspace_memory_region, flags, kFlags, kMemoryFlags),
                             TEEIO_FIELD(kvm_userspace_memory_region, guest_phys_addr, kHex),
                             TEEIO_FIELD(kvm_userspace_memory_region, memory_size, kHex),
                             TEEIO_FIELD(kvm_userspace_memory_region, userspace_addr, kHex)};
constexpr Field kRegion2[] = {
    TEEIO_FIELD(kvm_userspace_memory_region2, slot, kNumber),
    TEEIO_FIELD(kvm_userspace_memory_region2, flags, kFlags, kMemoryFlags),
    TEEIO_FIELD(kvm_userspace_memory_region2, guest_phys_addr, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region2, memory_size, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region2, userspace_addr, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region2, guest_memfd, kFd)};
constexpr Field kAttributes[] = {
    TEEIO_FIELD(kvm_memory_attributes, address, kHex),
    TEEIO_FIELD(kvm_memory_attributes, size, kHex),
    TEEIO_FIELD(kvm_memory_attributes, attributes, kFlags, kAttributeFlags)};
constexpr Field kGmem[] = {TEEIO_FIELD(kvm_create_guest_memfd, size, kHex),
                           TEEIO_FIELD(kvm_create_guest_memfd, flags, kFlags, kGmemFlags)};
constexpr Field kPreFault[] = {TEEIO_FIELD(kvm_pre_fault_memory, gpa, kHex),
                               TEEIO_FIELD(kvm_pre_fault_memory, size, kHex),
                               TEEIO_FIELD(kvm_pre_fault_memory, flags, kHex)};
constexpr Field kCreateDevice[] = {TEEIO_FIELD(kvm_create_device, type, kEnum, kDeviceTypes),
                                   TEEIO_FIELD(kvm_create_device, fd, kFd),
                                   TEEIO_FIELD(kvm_create_device, flags, kFlags, kDeviceFlags)};
constexpr Field kDeviceAttr[] = {TEEIO_FIELD(kvm_device_attr, group, kEnum, kDeviceGroups),
                                 TEEIO_FIELD(kvm_device_attr, attr, kEnum, kDeviceAttrs),
                                 TEEIO_FIELD(kvm_device_attr, addr, kHex)};
const Field kVmCommand[] = {
    TEEIO_FIELD(kvm_tdx_cmd, id, kEnum, vm_command_words()), TEEIO_FIELD(kvm_tdx_cmd, flags, kHex),
    TEEIO_FIELD(kvm_tdx_cmd, data, kHex), TEEIO_FIELD(kvm_tdx_cmd, hw_error, kCode)};
const Field kEnableCap[] = {TEEIO_FIELD(kvm_enable_cap, cap, kEnum, kvm_capability_words()),
                            TEEIO_FIELD(kvm_enable_cap, flags, kHex),
                            TEEIO_FIELD(kvm_enable_cap, args[0], kHex)};
constexpr Field kMpState[] = {TEEIO_FIELD(kvm_mp_state, mp_state, kNumber)};
constexpr Field kIrqfd[] = {TEEIO_FIELD(kvm_irqfd, fd, kFd), TEEIO_FIELD(kvm_irqfd, gsi, kNumber),
                            TEEIO_FIELD(kvm_irqfd, flags, kHex),
                            TEEIO_FIELD(kvm_irqfd, resamplefd, kFd)};
constexpr Field kIoeventfd[] = {
    TEEIO_FIELD(kvm_ioeventfd, datamatch, kHex), TEEIO_FIELD(kvm_ioeventfd, addr, kHex),
    TEEIO_FIELD(kvm_ioeventfd, len, kNumber), TEEIO_FIELD(kvm_ioeventfd, fd, kFd),
    TEEIO_FIELD(kvm_ioeventfd, flags, kHex)};
constexpr Field kMsi[] = {TEEIO_FIELD(kvm_msi, address_lo, kHex),
                          TEEIO_FIELD(kvm_msi, address_hi, kHex), TEEIO_FIELD(kvm_msi, data, kHex),
                          TEEIO_FIELD(kvm_msi, flags, kHex)};
constexpr Field kRegs[] = {TEEIO_FIELD(kvm_regs, rax, kHex),   TEEIO_FIELD(kvm_regs, rbx, kHex),
                           TEEIO_FIELD(kvm_regs, rcx, kHex),   TEEIO_FIELD(kvm_regs, rdx, kHex),
                           TEEIO_FIELD(kvm_regs, rsp, kHex),   TEEIO_FIELD(kvm_regs, rip, kHex),
                           TEEIO_FIELD(kvm_regs, rflags, kHex)};
constexpr Field kSregs[] = {TEEIO_FIELD(kvm_sregs, cr0, kHex), TEEIO_FIELD(kvm_sregs, cr2, kHex),
                            TEEIO_FIELD(kvm_sregs, cr3, kHex), TEEIO_FIELD(kvm_sregs, cr4, kHex),
                            TEEIO_FIELD(kvm_sregs, efer, kHex)};
constexpr Field kSregs2[] = {TEEIO_FIELD(kvm_sregs2, cr0, kHex), TEEIO_FIELD(kvm_sregs2, cr3, kHex),
                             TEEIO_FIELD(kvm_sregs2, cr4, kHex),
                             TEEIO_FIELD(kvm_sregs2, efer, kHex)};
constexpr Field kMsrs[] = {TEEIO_FIELD(kvm_msrs, nmsrs, kNumber)};
constexpr Field kMsrList[] = {TEEIO_FIELD(kvm_msr_list, nmsrs, kNumber)};
constexpr Field kCpuid[] = {TEEIO_FIELD(kvm_cpuid2, nent, kNumber)};
constexpr Field kEvents[] = {TEEIO_FIELD(kvm_vcpu_events, exception.injected, kNumber),
                             TEEIO_FIELD(kvm_vcpu_events, exception.nr, kNumber),
                             TEEIO_FIELD(kvm_vcpu_events, interrupt.injected, kNumber),
                             TEEIO_FIELD(kvm_vcpu_events, interrupt.nr, kNumber),
                             TEEIO_FIELD(kvm_vcpu_events, nmi.pending, kNumber)};

}  // namespace

std::span<const Layout> kvm_layouts() {
  static const Layout kLayouts[] = {
      {"KVM_CHECK_EXTENSION", {}, kvm_capability_words()},
      {"KVM_CREATE_VM", {}, vm_type_words()},
      {"KVM_ENABLE_CAP", kEnableCap},
      {"KVM_SET_USER_MEMORY_REGION", kRegion},
      {"KVM_SET_USER_MEMORY_REGION2", kRegion2},
      {"KVM_SET_MEMORY_ATTRIBUTES", kAttributes},
      {"KVM_CREATE_GUEST_MEMFD", kGmem},
      {"KVM_PRE_FAULT_MEMORY", kPreFault},
      {"KVM_CREATE_DEVICE", kCreateDevice},
      {"KVM_SET_DEVICE_ATTR", kDeviceAttr},
      {"KVM_GET_DEVICE_ATTR", kDeviceAttr},
      {"KVM_HAS_DEVICE_ATTR", kDeviceAttr},
      {"KVM_MEMORY_ENCRYPT_OP", kVmCommand},
      {"KVM_IRQFD", kIrqfd},
      {"KVM_IOEVENTFD", kIoeventfd},
      {"KVM_SIGNAL_MSI", kMsi},
      {"KVM_GET_MP_STATE", kMpState},
      {"KVM_SET_MP_STATE", kMpState},
      {"KVM_GET_REGS", kRegs},
      {"KVM_SET_REGS", kRegs},
      {"KVM_GET_SREGS", kSregs},
      {"KVM_SET_SREGS", kSregs},
      {"KVM_GET_SREGS2", kSregs2},
      {"KVM_SET_SREGS2", kSregs2},
      {"KVM_GET_MSRS", kMsrs},
      {"KVM_SET_MSRS", kMsrs},
      {"KVM_GET_MSR_INDEX_LIST", kMsrList},
      {"KVM_GET_MSR_FEATURE_INDEX_LIST", kMsrList},
      {"KVM_GET_SUPPORTED_CPUID", kCpuid},
      {"KVM_GET_EMULATED_CPUID", kCpuid},
      {"KVM_GET_CPUID2", kCpuid},
      {"KVM_SET_CPUID2", kCpuid},
      {"KVM_GET_VCPU_EVENTS", kEvents},
      {"KVM_SET_VCPU_EVENTS", kEvents},
  };
  return kLayouts;
}

}  // namespace teeio::entry
