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
constexpr Field kPopulate[] = {TEEIO_FIELD(kvm_arm_rmi_populate, base, kHex),
                               TEEIO_FIELD(kvm_arm_rmi_populate, size, kHex),
                               TEEIO_FIELD(kvm_arm_rmi_populate, source_uaddr, kHex),
                               TEEIO_FIELD(kvm_arm_rmi_populate, flags, kHex)};
constexpr Field kVcpuInit[] = {TEEIO_FIELD(kvm_vcpu_init, target, kNumber)};
constexpr Field kOneReg[] = {TEEIO_FIELD(kvm_one_reg, id, kHex),
                             TEEIO_FIELD(kvm_one_reg, addr, kHex)};
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

constexpr Field kRouting[] = {TEEIO_FIELD(kvm_irq_routing, nr, kNumber),
                              TEEIO_FIELD(kvm_irq_routing, flags, kHex)};
constexpr Field kChip[] = {TEEIO_FIELD(kvm_irqchip, chip_id, kNumber)};
constexpr Field kLine[] = {TEEIO_FIELD(kvm_irq_level, irq, kNumber),
                           TEEIO_FIELD(kvm_irq_level, level, kNumber)};
constexpr Field kPit[] = {TEEIO_FIELD(kvm_pit_config, flags, kHex)};
constexpr Field kClock[] = {TEEIO_FIELD(kvm_clock_data, clock, kNumber),
                            TEEIO_FIELD(kvm_clock_data, flags, kHex)};
constexpr Field kDirty[] = {TEEIO_FIELD(kvm_dirty_log, slot, kNumber),
                            TEEIO_FIELD(kvm_dirty_log, dirty_bitmap, kHex)};
constexpr Field kClearDirty[] = {TEEIO_FIELD(kvm_clear_dirty_log, slot, kNumber),
                                 TEEIO_FIELD(kvm_clear_dirty_log, first_page, kNumber),
                                 TEEIO_FIELD(kvm_clear_dirty_log, num_pages, kNumber),
                                 TEEIO_FIELD(kvm_clear_dirty_log, dirty_bitmap, kHex)};
constexpr Field kInterrupt[] = {TEEIO_FIELD(kvm_interrupt, irq, kNumber)};
constexpr Field kDebugRegs[] = {TEEIO_FIELD(kvm_debugregs, dr6, kHex),
                                TEEIO_FIELD(kvm_debugregs, dr7, kHex)};
constexpr Field kXcrs[] = {TEEIO_FIELD(kvm_xcrs, nr_xcrs, kNumber),
                           TEEIO_FIELD(kvm_xcrs, xcrs[0].value, kHex)};
constexpr Field kMce[] = {TEEIO_FIELD(kvm_x86_mce, status, kHex),
                          TEEIO_FIELD(kvm_x86_mce, bank, kNumber)};
constexpr Field kTpr[] = {TEEIO_FIELD(kvm_tpr_access_ctl, enabled, kNumber)};
constexpr Field kValue[] = {{"value", 0, sizeof(std::uint64_t), Field::Form::kHex}};
constexpr Field kPitState[] = {TEEIO_FIELD(kvm_pit_state, channels[0].count, kNumber),
                               TEEIO_FIELD(kvm_pit_state, channels[0].mode, kNumber)};
// Registers by their offsets: Intel SDM vol. 3, table 12-1.
constexpr Field kLapic[] = {{"id", 0x20, sizeof(std::uint32_t), Field::Form::kHex},
                            {"tpr", 0x80, sizeof(std::uint32_t), Field::Form::kHex},
                            {"spurious", 0xf0, sizeof(std::uint32_t), Field::Form::kHex}};
constexpr Field kXsave[] = {{"mxcsr", 24, sizeof(std::uint32_t), Field::Form::kHex},
                            {"xstate_bv", 512, sizeof(std::uint64_t), Field::Form::kHex}};
constexpr Field kVapic[] = {TEEIO_FIELD(kvm_vapic_addr, vapic_addr, kHex)};

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
      {"KVM_ARM_RMI_POPULATE", kPopulate},
      {"KVM_ARM_PREFERRED_TARGET", kVcpuInit},
      {"KVM_ARM_VCPU_INIT", kVcpuInit},
      {"KVM_GET_ONE_REG", kOneReg},
      {"KVM_SET_ONE_REG", kOneReg},
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
      {"KVM_SET_GSI_ROUTING", kRouting},
      {"KVM_GET_IRQCHIP", kChip},
      {"KVM_SET_IRQCHIP", kChip},
      {"KVM_IRQ_LINE", kLine},
      {"KVM_IRQ_LINE_STATUS", kLine},
      {"KVM_CREATE_PIT2", kPit},
      {"KVM_GET_PIT", kPitState},
      {"KVM_SET_PIT", kPitState},
      {"KVM_GET_PIT2", kPitState},
      {"KVM_SET_PIT2", kPitState},
      {"KVM_SET_IDENTITY_MAP_ADDR", kValue},
      {"KVM_X86_GET_MCE_CAP_SUPPORTED", kValue},
      {"KVM_X86_SETUP_MCE", kValue},
      {"KVM_GET_LAPIC", kLapic},
      {"KVM_SET_LAPIC", kLapic},
      {"KVM_GET_XSAVE", kXsave},
      {"KVM_GET_XSAVE2", kXsave},
      {"KVM_SET_XSAVE", kXsave},
      {"KVM_GET_CLOCK", kClock},
      {"KVM_SET_CLOCK", kClock},
      {"KVM_GET_DIRTY_LOG", kDirty},
      {"KVM_CLEAR_DIRTY_LOG", kClearDirty},
      {"KVM_INTERRUPT", kInterrupt},
      {"KVM_GET_DEBUGREGS", kDebugRegs},
      {"KVM_SET_DEBUGREGS", kDebugRegs},
      {"KVM_GET_XCRS", kXcrs},
      {"KVM_SET_XCRS", kXcrs},
      {"KVM_X86_SET_MCE", kMce},
      {"KVM_TPR_ACCESS_REPORTING", kTpr},
      {"KVM_SET_VAPIC_ADDR", kVapic},
      {"KVM_GET_VCPU_EVENTS", kEvents},
      {"KVM_SET_VCPU_EVENTS", kEvents},
  };
  return kLayouts;
}

}  // namespace teeio::entry
