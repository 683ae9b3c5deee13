#include "abi/kvm.h"
#include "entry/kvm_arguments.h"
#include "entry/kvm_handlers.h"

namespace teeio::entry {
namespace {

using namespace kvm_arguments;

constexpr Row kSystem[] = {
    {KVM_GET_API_VERSION, "KVM_GET_API_VERSION", ioctl_get_api_version, kPlain},
    {KVM_CREATE_VM, "KVM_CREATE_VM", ioctl_create_vm, one_of(vm_type_words)},
    {KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", ioctl_check_extension,
     one_of(kvm_capability_words)},
    {KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", ioctl_get_vcpu_mmap_size, kPlain},
    {KVM_GET_MSR_INDEX_LIST, "KVM_GET_MSR_INDEX_LIST", ioctl_get_msr_index_list, kMsrList},
    {KVM_GET_MSR_FEATURE_INDEX_LIST, "KVM_GET_MSR_FEATURE_INDEX_LIST",
     ioctl_get_msr_feature_index_list, kMsrList},
    {KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID", ioctl_get_supported_cpuid, kCpuid},
    {KVM_GET_EMULATED_CPUID, "KVM_GET_EMULATED_CPUID", ioctl_get_emulated_cpuid, kCpuid},
    {KVM_GET_MSRS, "KVM_GET_MSRS", ioctl_get_feature_msrs, kMsrs},
    {KVM_X86_GET_MCE_CAP_SUPPORTED, "KVM_X86_GET_MCE_CAP_SUPPORTED", ioctl_get_mce_cap_supported,
     kValue},
    {KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", ioctl_system_get_device_attr, kDeviceAttr},
    {KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", ioctl_system_has_device_attr, kDeviceAttr},
};

constexpr Row kVm[] = {
    {KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", ioctl_vm_check_extension,
     one_of(kvm_capability_words)},
    {KVM_CREATE_VCPU, "KVM_CREATE_VCPU", ioctl_create_vcpu, kPlain, Support::kPartial,
     "one vCPU is what the guest engine is tested with"},
    {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", ioctl_set_user_memory_region,
     kRegion},
    {KVM_SET_USER_MEMORY_REGION2, "KVM_SET_USER_MEMORY_REGION2", ioctl_set_user_memory_region2,
     kRegion2},
    {KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG", ioctl_get_dirty_log, kDirty},
    {KVM_CLEAR_DIRTY_LOG, "KVM_CLEAR_DIRTY_LOG", ioctl_clear_dirty_log, kClearDirty},
    {KVM_SET_MEMORY_ATTRIBUTES, "KVM_SET_MEMORY_ATTRIBUTES", ioctl_set_memory_attributes,
     kAttributes},
    {KVM_CREATE_GUEST_MEMFD, "KVM_CREATE_GUEST_MEMFD", ioctl_create_guest_memfd, kGmem},
    {KVM_CREATE_DEVICE, "KVM_CREATE_DEVICE", ioctl_create_device, kCreateDevice, Support::kPartial,
     "KVM_DEV_TYPE_VFIO only"},
    {KVM_MEMORY_ENCRYPT_OP, "KVM_MEMORY_ENCRYPT_OP", ioctl_vm_memory_encrypt_op, kVmCommand,
     Support::kPartial,
     "TDX: CAPABILITIES, INIT_VM, FINALIZE_VM; CPUID and MR* values are kept out. SNP: INIT2, "
     "SNP_LAUNCH_*; sev_fd is not looked at"},
    {KVM_ENABLE_CAP, "KVM_ENABLE_CAP", ioctl_vm_enable_cap, kEnableCap, Support::kPartial,
     "KVM_CAP_DISABLE_QUIRKS, DISABLE_QUIRKS2, SPLIT_IRQCHIP, MANUAL_DIRTY_LOG_PROTECT2, "
     "X2APIC_API, EXCEPTION_PAYLOAD, X86_TRIPLE_FAULT_EVENT, EXIT_HYPERCALL, MAX_VCPU_ID, "
     "X86_APIC_BUS_CYCLES_NS"},
    {KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", ioctl_set_tss_addr, kPlain},
    {KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR", ioctl_set_identity_map_addr, kValue},
    {KVM_SET_NR_MMU_PAGES, "KVM_SET_NR_MMU_PAGES", ioctl_set_nr_mmu_pages, kPlain},
    {KVM_SET_BOOT_CPU_ID, "KVM_SET_BOOT_CPU_ID", ioctl_set_boot_cpu_id, kPlain},
    {KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", ioctl_create_irqchip, kPlain, Support::kPartial,
     "interrupts end in the local APIC's IRR: no guest takes them"},
    {KVM_GET_IRQCHIP, "KVM_GET_IRQCHIP", ioctl_get_irqchip, kChip},
    {KVM_SET_IRQCHIP, "KVM_SET_IRQCHIP", ioctl_set_irqchip, kChip},
    {KVM_CREATE_PIT, "KVM_CREATE_PIT", ioctl_create_pit, kPlain, Support::kPartial,
     "no time passes in a VM: what was set stays"},
    {KVM_CREATE_PIT2, "KVM_CREATE_PIT2", ioctl_create_pit2, kPit, Support::kPartial,
     "no time passes in a VM: what was set stays"},
    {KVM_GET_PIT, "KVM_GET_PIT", ioctl_get_pit, kPitState},
    {KVM_SET_PIT, "KVM_SET_PIT", ioctl_set_pit, kPitState},
    {KVM_GET_PIT2, "KVM_GET_PIT2", ioctl_get_pit2, kPitState},
    {KVM_SET_PIT2, "KVM_SET_PIT2", ioctl_set_pit2, kPitState},
    {KVM_REINJECT_CONTROL, "KVM_REINJECT_CONTROL", ioctl_reinject_control, kPlain},
    {KVM_SET_GSI_ROUTING, "KVM_SET_GSI_ROUTING", ioctl_set_gsi_routing, kRouting, Support::kPartial,
     "MSI and irqchip routes; no Hyper-V, no Xen"},
    {KVM_IRQ_LINE, "KVM_IRQ_LINE", ioctl_irq_line, kLine, Support::kPartial,
     "interrupts end in the local APIC's IRR: no guest takes them"},
    {KVM_IRQ_LINE_STATUS, "KVM_IRQ_LINE_STATUS", ioctl_irq_line_status, kLine, Support::kPartial,
     "interrupts end in the local APIC's IRR: no guest takes them"},
    {KVM_IRQFD, "KVM_IRQFD", ioctl_irqfd, kIrqfd, Support::kPartial,
     "interrupts end in the local APIC's IRR: no guest takes them. RESAMPLE: by an EOI of "
     "KVM_SET_MSRS"},
    {KVM_IOEVENTFD, "KVM_IOEVENTFD", ioctl_ioeventfd, kIoeventfd},
    {KVM_SIGNAL_MSI, "KVM_SIGNAL_MSI", ioctl_signal_msi, kMsi, Support::kPartial,
     "interrupts end in the local APIC's IRR: no guest takes them"},
    {KVM_GET_STATS_FD, "KVM_GET_STATS_FD", ioctl_vm_get_stats_fd, kPlain, Support::kPartial,
     "what is counted here: remote_tlb_flush_requests, pages_4k"},
    {KVM_SET_CLOCK, "KVM_SET_CLOCK", ioctl_set_clock, kClock, Support::kPartial,
     "no time passes in a VM: what was set stays"},
    {KVM_GET_CLOCK, "KVM_GET_CLOCK", ioctl_get_clock, kClock, Support::kPartial,
     "no time passes in a VM: what was set stays"},
    {KVM_SET_TSC_KHZ, "KVM_SET_TSC_KHZ", ioctl_vm_set_tsc_khz, kPlain, Support::kPartial,
     "no time passes in a VM: what was set stays"},
    {KVM_GET_TSC_KHZ, "KVM_GET_TSC_KHZ", ioctl_vm_get_tsc_khz, kPlain},
    {KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", ioctl_vm_set_device_attr, kDeviceAttr,
     Support::kPartial, "a realm's SMCCC filter"},
    {KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", ioctl_vm_has_device_attr, kDeviceAttr,
     Support::kPartial, "a realm's SMCCC filter"},
    {KVM_ARM_PREFERRED_TARGET, "KVM_ARM_PREFERRED_TARGET", ioctl_preferred_target, kVcpuInit,
     Support::kPartial, "a realm's"},
    {KVM_ARM_RMI_POPULATE, "KVM_ARM_RMI_POPULATE", ioctl_populate, kPopulate, Support::kPartial,
     "a realm's; nothing is measured"},
};

constexpr Row kVcpu[] = {
    {KVM_RUN, "KVM_RUN", ioctl_run, kPlain, Support::kPartial,
     "no interrupts, so KVM_EXIT_IOAPIC_EOI only of an EOI by KVM_SET_MSRS; no #VE, no exceptions "
     "through the guest's IDT; no emulated access across a page's end "
     "(KVM_EXIT_SHUTDOWN); code segments start at 0"},
    {KVM_GET_REGS, "KVM_GET_REGS", ioctl_get_regs, kRegs},
    {KVM_SET_REGS, "KVM_SET_REGS", ioctl_set_regs, kRegs},
    {KVM_GET_SREGS, "KVM_GET_SREGS", ioctl_get_sregs, kSregs},
    {KVM_SET_SREGS, "KVM_SET_SREGS", ioctl_set_sregs, kSregs},
    {KVM_SET_GUEST_DEBUG, "KVM_SET_GUEST_DEBUG", ioctl_set_guest_debug, kGuestDebug,
     Support::kPartial,
     "no breakpoint on a port; an exception that it injects ends KVM_RUN in "
     "KVM_INTERNAL_ERROR_DELIVERY_EV"},
    {KVM_SET_SIGNAL_MASK, "KVM_SET_SIGNAL_MASK", ioctl_set_signal_mask, kSignalMask},
    {KVM_TRANSLATE, "KVM_TRANSLATE", ioctl_translate, kTranslation},
    {KVM_PRE_FAULT_MEMORY, "KVM_PRE_FAULT_MEMORY", ioctl_pre_fault_memory, kPreFault},
    {KVM_ARM_VCPU_INIT, "KVM_ARM_VCPU_INIT", ioctl_vcpu_init, kVcpuInit, Support::kPartial,
     "a realm's: PSCI_0_2 and POWER_OFF"},
    {KVM_GET_ONE_REG, "KVM_GET_ONE_REG", ioctl_get_one_reg, kOneReg, Support::kPartial,
     "a realm's x0-x30 and pc"},
    {KVM_SET_ONE_REG, "KVM_SET_ONE_REG", ioctl_set_one_reg, kOneReg, Support::kPartial,
     "a realm's x0-x30 and pc"},
    {KVM_MEMORY_ENCRYPT_OP, "KVM_MEMORY_ENCRYPT_OP", ioctl_vcpu_memory_encrypt_op, kVmCommand,
     Support::kPartial, "TDX: INIT_VCPU, GET_CPUID, INIT_MEM_REGION; nothing is measured"},
    {KVM_SET_CPUID2, "KVM_SET_CPUID2", ioctl_set_cpuid2, kCpuid},
    {KVM_GET_CPUID2, "KVM_GET_CPUID2", ioctl_get_cpuid2, kCpuid},
    {KVM_GET_MSRS, "KVM_GET_MSRS", ioctl_get_msrs, kMsrs, Support::kPartial,
     "the program's view; RDMSR and WRMSR of a guest see the engine's"},
    {KVM_SET_MSRS, "KVM_SET_MSRS", ioctl_set_msrs, kMsrs, Support::kPartial,
     "the program's view; RDMSR and WRMSR of a guest see the engine's"},
    {KVM_GET_SREGS2, "KVM_GET_SREGS2", ioctl_get_sregs2, kSregs2},
    {KVM_SET_SREGS2, "KVM_SET_SREGS2", ioctl_set_sregs2, kSregs2},
    {KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS", ioctl_get_vcpu_events, kEvents},
    {KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS", ioctl_set_vcpu_events, kEvents, Support::kPartial,
     "kept; an event that is due ends KVM_RUN in KVM_INTERNAL_ERROR_DELIVERY_EV"},
    {KVM_GET_MP_STATE, "KVM_GET_MP_STATE", ioctl_get_mp_state, kMpState},
    {KVM_SET_MP_STATE, "KVM_SET_MP_STATE", ioctl_set_mp_state, kMpState},
    {KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS", ioctl_get_debugregs, kDebugRegs},
    {KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS", ioctl_set_debugregs, kDebugRegs, Support::kPartial,
     "kept; no breakpoint is taken"},
    {KVM_GET_XSAVE, "KVM_GET_XSAVE", ioctl_get_xsave, kXsave, Support::kPartial,
     "what was set; the guest's own x87 and SSE state is the engine's"},
    {KVM_GET_XSAVE2, "KVM_GET_XSAVE2", ioctl_get_xsave, kXsave, Support::kPartial,
     "what was set; the guest's own x87 and SSE state is the engine's"},
    {KVM_SET_XSAVE, "KVM_SET_XSAVE", ioctl_set_xsave, kXsave, Support::kPartial,
     "what was set; the guest's own x87 and SSE state is the engine's"},
    {KVM_GET_FPU, "KVM_GET_FPU", ioctl_get_fpu, kFpu, Support::kPartial,
     "what was set; the guest's own x87 and SSE state is the engine's"},
    {KVM_SET_FPU, "KVM_SET_FPU", ioctl_set_fpu, kFpu, Support::kPartial,
     "what was set; the guest's own x87 and SSE state is the engine's"},
    {KVM_GET_STATS_FD, "KVM_GET_STATS_FD", ioctl_vcpu_get_stats_fd, kPlain, Support::kPartial,
     "what is counted here: exits, io_exits, mmio_exits, halt_exits, signal_exits, hypercalls, "
     "pf_taken"},
    {KVM_GET_XCRS, "KVM_GET_XCRS", ioctl_get_xcrs, kXcrs},
    {KVM_SET_XCRS, "KVM_SET_XCRS", ioctl_set_xcrs, kXcrs},
    {KVM_GET_LAPIC, "KVM_GET_LAPIC", ioctl_get_lapic, kLapic},
    {KVM_SET_LAPIC, "KVM_SET_LAPIC", ioctl_set_lapic, kLapic, Support::kPartial,
     "kept; the guest does not reach it"},
    {KVM_INTERRUPT, "KVM_INTERRUPT", ioctl_interrupt, kInterrupt, Support::kPartial,
     "kept; an event that is due ends KVM_RUN in KVM_INTERNAL_ERROR_DELIVERY_EV"},
    {KVM_NMI, "KVM_NMI", ioctl_nmi, kPlain, Support::kPartial,
     "kept; an event that is due ends KVM_RUN in KVM_INTERNAL_ERROR_DELIVERY_EV"},
    {KVM_SMI, "KVM_SMI", ioctl_smi, kPlain, Support::kPartial,
     "ENOTTY: no system management mode, as a kernel without CONFIG_KVM_SMM"},
    {KVM_X86_SETUP_MCE, "KVM_X86_SETUP_MCE", ioctl_setup_mce, kValue},
    {KVM_X86_SET_MCE, "KVM_X86_SET_MCE", ioctl_set_mce, kMce, Support::kPartial,
     "kept; an event that is due ends KVM_RUN in KVM_INTERNAL_ERROR_DELIVERY_EV"},
    {KVM_TPR_ACCESS_REPORTING, "KVM_TPR_ACCESS_REPORTING", ioctl_tpr_access_reporting, kTpr,
     Support::kPartial, "no access of the guest is reported"},
    {KVM_SET_VAPIC_ADDR, "KVM_SET_VAPIC_ADDR", ioctl_set_vapic_addr, kVapic, Support::kPartial,
     "kept; no page is written"},
    {KVM_SET_TSC_KHZ, "KVM_SET_TSC_KHZ", ioctl_vcpu_set_tsc_khz, kPlain, Support::kPartial,
     "no time passes in a VM: what was set stays"},
    {KVM_GET_TSC_KHZ, "KVM_GET_TSC_KHZ", ioctl_vcpu_get_tsc_khz, kPlain},
    {KVM_KVMCLOCK_CTRL, "KVM_KVMCLOCK_CTRL", ioctl_kvmclock_ctrl, kPlain, Support::kPartial,
     "EINVAL: no guest has kvmclock"},
    {KVM_ENABLE_CAP, "KVM_ENABLE_CAP", ioctl_vcpu_enable_cap, kEnableCap, Support::kPartial,
     "EINVAL: they are Hyper-V's"},
    {KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", ioctl_vcpu_set_device_attr, kDeviceAttr},
    {KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", ioctl_vcpu_get_device_attr, kDeviceAttr},
    {KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", ioctl_vcpu_has_device_attr, kDeviceAttr},
};

constexpr Row kVfioDevice[] = {
    {KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", ioctl_set_device_attr, kDeviceAttr},
    {KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", ioctl_get_device_attr, kDeviceAttr},
    {KVM_HAS_DEVICE_ATTR, "KVM_HAS_DEVICE_ATTR", ioctl_has_device_attr, kDeviceAttr},
};

static_assert(structs_are_laid_out(kSystem) && structs_are_laid_out(kVm) &&
              structs_are_laid_out(kVcpu) && structs_are_laid_out(kVfioDevice));

}  // namespace

std::span<const Row> kvm_rows() { return kSystem; }
std::span<const Row> kvm_vm_rows() { return kVm; }
std::span<const Row> kvm_vcpu_rows() { return kVcpu; }
std::span<const Row> kvm_vfio_rows() { return kVfioDevice; }

}  // namespace teeio::entry
