#pragma once

#include "abi/kvm.h"
#include "abi/proposed.h"
#include "entry/argument.h"
#include "entry/kvm_capabilities.h"

namespace teeio::entry::kvm_arguments {

/// Arguments of KVM's ioctls, for their rows.

inline constexpr Word kMemoryFlags[] = {
    TEEIO_MACRO(KVM_MEM_LOG_DIRTY_PAGES), TEEIO_MACRO(KVM_MEM_READONLY),
    TEEIO_MACRO(KVM_MEM_GUEST_MEMFD), TEEIO_MACRO(KVM_MEM_VFIO_DMABUF)};
inline constexpr Word kAttributeFlags[] = {TEEIO_MACRO(KVM_MEMORY_ATTRIBUTE_PRIVATE)};
inline constexpr Word kGmemFlags[] = {TEEIO_MACRO(GUEST_MEMFD_FLAG_MMAP),
                                      TEEIO_MACRO(GUEST_MEMFD_FLAG_INIT_SHARED)};
inline constexpr Word kDeviceTypes[] = {
    TEEIO_WORD(KVM_DEV_TYPE_FSL_MPIC_20), TEEIO_WORD(KVM_DEV_TYPE_FSL_MPIC_42),
    TEEIO_WORD(KVM_DEV_TYPE_XICS), TEEIO_WORD(KVM_DEV_TYPE_VFIO),
    TEEIO_WORD(KVM_DEV_TYPE_ARM_VGIC_V2)};
inline constexpr Word kDeviceFlags[] = {TEEIO_MACRO(KVM_CREATE_DEVICE_TEST)};
inline constexpr Word kDeviceGroups[] = {TEEIO_MACRO(KVM_DEV_VFIO_FILE)};
inline constexpr Word kDeviceAttrs[] = {TEEIO_MACRO(KVM_DEV_VFIO_FILE_ADD),
                                        TEEIO_MACRO(KVM_DEV_VFIO_FILE_DEL)};

inline constexpr Word kPopulateFlags[] = {TEEIO_MACRO(KVM_ARM_RMI_POPULATE_FLAGS_MEASURE)};
inline constexpr Word kArmTargets[] = {TEEIO_MACRO(KVM_ARM_TARGET_GENERIC_V8)};
inline constexpr Word kMpStates[] = {
    TEEIO_MACRO(KVM_MP_STATE_RUNNABLE), TEEIO_MACRO(KVM_MP_STATE_UNINITIALIZED),
    TEEIO_MACRO(KVM_MP_STATE_INIT_RECEIVED), TEEIO_MACRO(KVM_MP_STATE_HALTED)};
inline constexpr Word kIrqfdFlags[] = {TEEIO_MACRO(KVM_IRQFD_FLAG_DEASSIGN),
                                       TEEIO_MACRO(KVM_IRQFD_FLAG_RESAMPLE)};
inline constexpr Word kIoeventfdFlags[] = {
    TEEIO_MACRO(KVM_IOEVENTFD_FLAG_DATAMATCH), TEEIO_MACRO(KVM_IOEVENTFD_FLAG_PIO),
    TEEIO_MACRO(KVM_IOEVENTFD_FLAG_DEASSIGN), TEEIO_MACRO(KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY)};
inline constexpr Word kMsiFlags[] = {TEEIO_MACRO(KVM_MSI_VALID_DEVID)};
inline constexpr Word kChips[] = {TEEIO_MACRO(KVM_IRQCHIP_PIC_MASTER),
                                  TEEIO_MACRO(KVM_IRQCHIP_PIC_SLAVE),
                                  TEEIO_MACRO(KVM_IRQCHIP_IOAPIC)};
inline constexpr Word kPitFlags[] = {TEEIO_MACRO(KVM_PIT_SPEAKER_DUMMY)};
inline constexpr Word kClockFlags[] = {TEEIO_MACRO(KVM_CLOCK_TSC_STABLE),
                                       TEEIO_MACRO(KVM_CLOCK_REALTIME),
                                       TEEIO_MACRO(KVM_CLOCK_HOST_TSC)};

inline constexpr Field kRegion[] = {
    TEEIO_FIELD(kvm_userspace_memory_region, slot, kNumber),
    TEEIO_FIELD(kvm_userspace_memory_region, flags, kFlags, kMemoryFlags),
    TEEIO_FIELD(kvm_userspace_memory_region, guest_phys_addr, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region, memory_size, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region, userspace_addr, kHex)};
inline constexpr Field kRegion2[] = {
    TEEIO_FIELD(kvm_userspace_memory_region2, slot, kNumber),
    TEEIO_FIELD(kvm_userspace_memory_region2, flags, kFlags, kMemoryFlags),
    TEEIO_FIELD(kvm_userspace_memory_region2, guest_phys_addr, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region2, memory_size, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region2, userspace_addr, kHex),
    TEEIO_FIELD(kvm_userspace_memory_region2, guest_memfd, kFd)};
inline constexpr Field kAttributes[] = {
    TEEIO_FIELD(kvm_memory_attributes, address, kHex),
    TEEIO_FIELD(kvm_memory_attributes, size, kHex),
    TEEIO_FIELD(kvm_memory_attributes, attributes, kFlags, kAttributeFlags)};
inline constexpr Field kGmem[] = {TEEIO_FIELD(kvm_create_guest_memfd, size, kHex),
                                  TEEIO_FIELD(kvm_create_guest_memfd, flags, kFlags, kGmemFlags)};
inline constexpr Field kPreFault[] = {TEEIO_FIELD(kvm_pre_fault_memory, gpa, kHex),
                                      TEEIO_FIELD(kvm_pre_fault_memory, size, kHex),
                                      TEEIO_FIELD(kvm_pre_fault_memory, flags, kHex)};
inline constexpr Field kPopulate[] = {
    TEEIO_FIELD(kvm_arm_rmi_populate, base, kHex), TEEIO_FIELD(kvm_arm_rmi_populate, size, kHex),
    TEEIO_FIELD(kvm_arm_rmi_populate, source_uaddr, kHex),
    TEEIO_FIELD(kvm_arm_rmi_populate, flags, kFlags, kPopulateFlags)};
inline constexpr Field kTranslation[] = {TEEIO_FIELD(kvm_translation, linear_address, kHex),
                                         TEEIO_FIELD(kvm_translation, physical_address, kHex),
                                         TEEIO_FIELD(kvm_translation, valid, kNumber)};
inline constexpr Field kVcpuInit[] = {TEEIO_FIELD(kvm_vcpu_init, target, kEnum, kArmTargets)};
inline constexpr Field kOneReg[] = {TEEIO_FIELD(kvm_one_reg, id, kHex),
                                    TEEIO_FIELD(kvm_one_reg, addr, kHex)};
inline constexpr Field kCreateDevice[] = {
    TEEIO_FIELD(kvm_create_device, type, kEnum, kDeviceTypes),
    TEEIO_FIELD(kvm_create_device, fd, kFd),
    TEEIO_FIELD(kvm_create_device, flags, kFlags, kDeviceFlags)};
inline constexpr Field kDeviceAttr[] = {TEEIO_FIELD(kvm_device_attr, group, kEnum, kDeviceGroups),
                                        TEEIO_FIELD(kvm_device_attr, attr, kEnum, kDeviceAttrs),
                                        TEEIO_FIELD(kvm_device_attr, addr, kHex)};
inline constexpr Field kVmCommand[] = {
    TEEIO_FIELD(kvm_tdx_cmd, id, kEnum, vm_command_words),
    TEEIO_FIELD(kvm_tdx_cmd, flags, kFlags, vm_command_flag_words),
    TEEIO_FIELD(kvm_tdx_cmd, data, kHex), TEEIO_FIELD(kvm_tdx_cmd, hw_error, kCode)};
inline constexpr Field kEnableCap[] = {
    TEEIO_FIELD(kvm_enable_cap, cap, kEnum, kvm_capability_words),
    TEEIO_FIELD(kvm_enable_cap, flags, kHex), TEEIO_FIELD(kvm_enable_cap, args[0], kHex)};
inline constexpr Field kMpState[] = {TEEIO_FIELD(kvm_mp_state, mp_state, kEnum, kMpStates)};
inline constexpr Field kIrqfd[] = {
    TEEIO_FIELD(kvm_irqfd, fd, kFd), TEEIO_FIELD(kvm_irqfd, gsi, kNumber),
    TEEIO_FIELD(kvm_irqfd, flags, kFlags, kIrqfdFlags), TEEIO_FIELD(kvm_irqfd, resamplefd, kFd)};
inline constexpr Field kIoeventfd[] = {
    TEEIO_FIELD(kvm_ioeventfd, datamatch, kHex), TEEIO_FIELD(kvm_ioeventfd, addr, kHex),
    TEEIO_FIELD(kvm_ioeventfd, len, kNumber), TEEIO_FIELD(kvm_ioeventfd, fd, kFd),
    TEEIO_FIELD(kvm_ioeventfd, flags, kFlags, kIoeventfdFlags)};
inline constexpr Field kMsi[] = {
    TEEIO_FIELD(kvm_msi, address_lo, kHex), TEEIO_FIELD(kvm_msi, address_hi, kHex),
    TEEIO_FIELD(kvm_msi, data, kHex), TEEIO_FIELD(kvm_msi, flags, kFlags, kMsiFlags)};
inline constexpr Field kRegs[] = {
    TEEIO_FIELD(kvm_regs, rax, kHex),   TEEIO_FIELD(kvm_regs, rbx, kHex),
    TEEIO_FIELD(kvm_regs, rcx, kHex),   TEEIO_FIELD(kvm_regs, rdx, kHex),
    TEEIO_FIELD(kvm_regs, rsp, kHex),   TEEIO_FIELD(kvm_regs, rip, kHex),
    TEEIO_FIELD(kvm_regs, rflags, kHex)};
inline constexpr Field kSregs[] = {
    TEEIO_FIELD(kvm_sregs, cr0, kHex), TEEIO_FIELD(kvm_sregs, cr2, kHex),
    TEEIO_FIELD(kvm_sregs, cr3, kHex), TEEIO_FIELD(kvm_sregs, cr4, kHex),
    TEEIO_FIELD(kvm_sregs, efer, kHex)};
inline constexpr Field kSregs2[] = {
    TEEIO_FIELD(kvm_sregs2, cr0, kHex), TEEIO_FIELD(kvm_sregs2, cr3, kHex),
    TEEIO_FIELD(kvm_sregs2, cr4, kHex), TEEIO_FIELD(kvm_sregs2, efer, kHex)};
inline constexpr Word kGuestDebugFlags[] = {
    TEEIO_MACRO(KVM_GUESTDBG_ENABLE),    TEEIO_MACRO(KVM_GUESTDBG_SINGLESTEP),
    TEEIO_MACRO(KVM_GUESTDBG_USE_SW_BP), TEEIO_MACRO(KVM_GUESTDBG_USE_HW_BP),
    TEEIO_MACRO(KVM_GUESTDBG_INJECT_DB), TEEIO_MACRO(KVM_GUESTDBG_INJECT_BP),
    TEEIO_MACRO(KVM_GUESTDBG_BLOCKIRQ)};
inline constexpr Field kGuestDebug[] = {
    TEEIO_FIELD(kvm_guest_debug, control, kFlags, kGuestDebugFlags)};
inline constexpr Field kSignalMask[] = {TEEIO_FIELD(kvm_signal_mask, len, kNumber)};
inline constexpr Field kMsrs[] = {TEEIO_FIELD(kvm_msrs, nmsrs, kNumber)};
inline constexpr Field kMsrList[] = {TEEIO_FIELD(kvm_msr_list, nmsrs, kNumber)};
inline constexpr Field kCpuid[] = {TEEIO_FIELD(kvm_cpuid2, nent, kNumber)};
inline constexpr Field kEvents[] = {TEEIO_FIELD(kvm_vcpu_events, exception.injected, kNumber),
                                    TEEIO_FIELD(kvm_vcpu_events, exception.nr, kNumber),
                                    TEEIO_FIELD(kvm_vcpu_events, interrupt.injected, kNumber),
                                    TEEIO_FIELD(kvm_vcpu_events, interrupt.nr, kNumber),
                                    TEEIO_FIELD(kvm_vcpu_events, nmi.pending, kNumber)};

inline constexpr Field kRouting[] = {TEEIO_FIELD(kvm_irq_routing, nr, kNumber),
                                     TEEIO_FIELD(kvm_irq_routing, flags, kHex)};
inline constexpr Field kChip[] = {TEEIO_FIELD(kvm_irqchip, chip_id, kEnum, kChips)};
inline constexpr Field kLine[] = {TEEIO_FIELD(kvm_irq_level, irq, kNumber),
                                  TEEIO_FIELD(kvm_irq_level, level, kNumber)};
inline constexpr Field kPit[] = {TEEIO_FIELD(kvm_pit_config, flags, kFlags, kPitFlags)};
inline constexpr Field kClock[] = {TEEIO_FIELD(kvm_clock_data, clock, kNumber),
                                   TEEIO_FIELD(kvm_clock_data, flags, kFlags, kClockFlags)};
inline constexpr Field kDirty[] = {TEEIO_FIELD(kvm_dirty_log, slot, kNumber),
                                   TEEIO_FIELD(kvm_dirty_log, dirty_bitmap, kHex)};
inline constexpr Field kClearDirty[] = {TEEIO_FIELD(kvm_clear_dirty_log, slot, kNumber),
                                        TEEIO_FIELD(kvm_clear_dirty_log, first_page, kNumber),
                                        TEEIO_FIELD(kvm_clear_dirty_log, num_pages, kNumber),
                                        TEEIO_FIELD(kvm_clear_dirty_log, dirty_bitmap, kHex)};
inline constexpr Field kInterrupt[] = {TEEIO_FIELD(kvm_interrupt, irq, kNumber)};
inline constexpr Field kDebugRegs[] = {TEEIO_FIELD(kvm_debugregs, dr6, kHex),
                                       TEEIO_FIELD(kvm_debugregs, dr7, kHex)};
inline constexpr Field kXcrs[] = {TEEIO_FIELD(kvm_xcrs, nr_xcrs, kNumber),
                                  TEEIO_FIELD(kvm_xcrs, xcrs[0].value, kHex)};
inline constexpr Field kMce[] = {TEEIO_FIELD(kvm_x86_mce, status, kHex),
                                 TEEIO_FIELD(kvm_x86_mce, bank, kNumber)};
inline constexpr Field kTpr[] = {TEEIO_FIELD(kvm_tpr_access_ctl, enabled, kNumber)};
inline constexpr Field kValue[] = {{"value", 0, sizeof(std::uint64_t), Field::Form::kHex}};
inline constexpr Field kPitState[] = {TEEIO_FIELD(kvm_pit_state, channels[0].count, kNumber),
                                      TEEIO_FIELD(kvm_pit_state, channels[0].mode, kNumber)};
// Registers by their offsets: Intel SDM vol. 3, table 12-1.
inline constexpr Field kLapic[] = {{"id", 0x20, sizeof(std::uint32_t), Field::Form::kHex},
                                   {"tpr", 0x80, sizeof(std::uint32_t), Field::Form::kHex},
                                   {"spurious", 0xf0, sizeof(std::uint32_t), Field::Form::kHex}};
inline constexpr Field kFpu[] = {TEEIO_FIELD(kvm_fpu, fcw, kHex), TEEIO_FIELD(kvm_fpu, fsw, kHex),
                                 TEEIO_FIELD(kvm_fpu, ftwx, kHex),
                                 TEEIO_FIELD(kvm_fpu, last_ip, kHex)};
inline constexpr Field kXsave[] = {{"mxcsr", 24, sizeof(std::uint32_t), Field::Form::kHex},
                                   {"xstate_bv", 512, sizeof(std::uint64_t), Field::Form::kHex}};
inline constexpr Field kVapic[] = {TEEIO_FIELD(kvm_vapic_addr, vapic_addr, kHex)};

}  // namespace teeio::entry::kvm_arguments
