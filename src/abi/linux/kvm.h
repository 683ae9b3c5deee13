/* The KVM uAPI of Linux 7.3 on x86-64, for C and C++: what a VMM of
 * confidential VMs calls.
 *
 * Source of every fact here: Linux include/uapi/linux/kvm.h. A program
 * includes it as <linux/kvm.h>; the rooms of teeio include abi/kvm.h.
 * KVM's ioctl numbers carry the size of their struct, so a struct that is not
 * declared here appears by its size in bytes.
 */
#ifndef TEEIO_ABI_LINUX_KVM_H
#define TEEIO_ABI_LINUX_KVM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "kvm_caps.h"
#include "kvm_x86.h"
#include "kvm_state.h"
#include "kvm_run.h"

#pragma GCC system_header

/* abi/kvm.h makes this a qualified name, so that the macros work anywhere. */
#ifndef TEEIO_ABI_STRUCT
#define TEEIO_ABI_STRUCT(name) struct name
#endif

#define KVM_API_VERSION 12
#define KVMIO 0xAE

/* ---- on /dev/kvm ---- */

#define KVM_GET_API_VERSION _IO(KVMIO, 0x00)
#define KVM_CREATE_VM _IO(KVMIO, 0x01)
#define KVM_GET_MSR_INDEX_LIST _IOWR(KVMIO, 0x02, TEEIO_ABI_STRUCT(kvm_msr_list))
#define KVM_CHECK_EXTENSION _IO(KVMIO, 0x03)
#define KVM_GET_VCPU_MMAP_SIZE _IO(KVMIO, 0x04)
#define KVM_GET_SUPPORTED_CPUID _IOWR(KVMIO, 0x05, TEEIO_ABI_STRUCT(kvm_cpuid2))
#define KVM_GET_EMULATED_CPUID _IOWR(KVMIO, 0x09, TEEIO_ABI_STRUCT(kvm_cpuid2))
#define KVM_GET_MSR_FEATURE_INDEX_LIST _IOWR(KVMIO, 0x0a, TEEIO_ABI_STRUCT(kvm_msr_list))

/* ---- on a VM ---- */

#define KVM_CREATE_VCPU _IO(KVMIO, 0x41)
#define KVM_GET_DIRTY_LOG _IOW(KVMIO, 0x42, TEEIO_ABI_STRUCT(kvm_dirty_log))
#define KVM_SET_NR_MMU_PAGES _IO(KVMIO, 0x44)
#define KVM_SET_USER_MEMORY_REGION _IOW(KVMIO, 0x46, TEEIO_ABI_STRUCT(kvm_userspace_memory_region))
#define KVM_SET_TSS_ADDR _IO(KVMIO, 0x47)
#define KVM_SET_IDENTITY_MAP_ADDR _IOW(KVMIO, 0x48, __u64)
#define KVM_SET_USER_MEMORY_REGION2 \
  _IOW(KVMIO, 0x49, TEEIO_ABI_STRUCT(kvm_userspace_memory_region2))
#define KVM_CREATE_IRQCHIP _IO(KVMIO, 0x60)
#define KVM_IRQ_LINE _IOW(KVMIO, 0x61, TEEIO_ABI_STRUCT(kvm_irq_level))
#define KVM_GET_IRQCHIP _IOWR(KVMIO, 0x62, TEEIO_ABI_STRUCT(kvm_irqchip))
#define KVM_SET_IRQCHIP _IOR(KVMIO, 0x63, TEEIO_ABI_STRUCT(kvm_irqchip))
#define KVM_CREATE_PIT _IO(KVMIO, 0x64)
#define KVM_GET_PIT _IOWR(KVMIO, 0x65, TEEIO_ABI_STRUCT(kvm_pit_state))
#define KVM_SET_PIT _IOR(KVMIO, 0x66, TEEIO_ABI_STRUCT(kvm_pit_state))
#define KVM_IRQ_LINE_STATUS _IOWR(KVMIO, 0x67, TEEIO_ABI_STRUCT(kvm_irq_level))
#define KVM_REGISTER_COALESCED_MMIO _IOC(_IOC_WRITE, KVMIO, 0x67, 16)
#define KVM_UNREGISTER_COALESCED_MMIO _IOC(_IOC_WRITE, KVMIO, 0x68, 16)
#define KVM_SET_GSI_ROUTING _IOW(KVMIO, 0x6a, TEEIO_ABI_STRUCT(kvm_irq_routing))
#define KVM_REINJECT_CONTROL _IO(KVMIO, 0x71)
#define KVM_IRQFD _IOW(KVMIO, 0x76, TEEIO_ABI_STRUCT(kvm_irqfd))
#define KVM_CREATE_PIT2 _IOW(KVMIO, 0x77, TEEIO_ABI_STRUCT(kvm_pit_config))
#define KVM_SET_BOOT_CPU_ID _IO(KVMIO, 0x78)
#define KVM_IOEVENTFD _IOW(KVMIO, 0x79, TEEIO_ABI_STRUCT(kvm_ioeventfd))
#define KVM_SET_CLOCK _IOW(KVMIO, 0x7b, TEEIO_ABI_STRUCT(kvm_clock_data))
#define KVM_GET_CLOCK _IOR(KVMIO, 0x7c, TEEIO_ABI_STRUCT(kvm_clock_data))
#define KVM_SET_TSC_KHZ _IO(KVMIO, 0xa2)
#define KVM_GET_TSC_KHZ _IO(KVMIO, 0xa3)
#define KVM_SIGNAL_MSI _IOW(KVMIO, 0xa5, TEEIO_ABI_STRUCT(kvm_msi))
#define KVM_GET_PIT2 _IOR(KVMIO, 0x9f, TEEIO_ABI_STRUCT(kvm_pit_state2))
#define KVM_SET_PIT2 _IOW(KVMIO, 0xa0, TEEIO_ABI_STRUCT(kvm_pit_state2))
#define KVM_MEMORY_ENCRYPT_OP _IOWR(KVMIO, 0xba, unsigned long)
#define KVM_MEMORY_ENCRYPT_REG_REGION _IOC(_IOC_READ, KVMIO, 0xbb, 16)
#define KVM_MEMORY_ENCRYPT_UNREG_REGION _IOC(_IOC_READ, KVMIO, 0xbc, 16)
#define KVM_CLEAR_DIRTY_LOG _IOWR(KVMIO, 0xc0, TEEIO_ABI_STRUCT(kvm_clear_dirty_log))
#define KVM_X86_SET_MSR_FILTER _IOW(KVMIO, 0xc6, TEEIO_ABI_STRUCT(kvm_msr_filter))
#define KVM_GET_STATS_FD _IO(KVMIO, 0xce)
#define KVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, TEEIO_ABI_STRUCT(kvm_memory_attributes))
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, TEEIO_ABI_STRUCT(kvm_create_guest_memfd))
#define KVM_CREATE_DEVICE _IOWR(KVMIO, 0xe0, TEEIO_ABI_STRUCT(kvm_create_device))

/* ---- on a device of a VM (the attributes also on some VMs and vCPUs) ---- */

#define KVM_SET_DEVICE_ATTR _IOW(KVMIO, 0xe1, TEEIO_ABI_STRUCT(kvm_device_attr))
#define KVM_GET_DEVICE_ATTR _IOW(KVMIO, 0xe2, TEEIO_ABI_STRUCT(kvm_device_attr))
#define KVM_HAS_DEVICE_ATTR _IOW(KVMIO, 0xe3, TEEIO_ABI_STRUCT(kvm_device_attr))

/* ---- on a vCPU ---- */

#define KVM_RUN _IO(KVMIO, 0x80)
#define KVM_GET_REGS _IOR(KVMIO, 0x81, TEEIO_ABI_STRUCT(kvm_regs))
#define KVM_SET_REGS _IOW(KVMIO, 0x82, TEEIO_ABI_STRUCT(kvm_regs))
#define KVM_GET_SREGS _IOR(KVMIO, 0x83, TEEIO_ABI_STRUCT(kvm_sregs))
#define KVM_SET_SREGS _IOW(KVMIO, 0x84, TEEIO_ABI_STRUCT(kvm_sregs))
#define KVM_TRANSLATE _IOWR(KVMIO, 0x85, TEEIO_ABI_STRUCT(kvm_translation))
#define KVM_INTERRUPT _IOW(KVMIO, 0x86, TEEIO_ABI_STRUCT(kvm_interrupt))
#define KVM_GET_MSRS _IOWR(KVMIO, 0x88, TEEIO_ABI_STRUCT(kvm_msrs))
#define KVM_SET_MSRS _IOW(KVMIO, 0x89, TEEIO_ABI_STRUCT(kvm_msrs))
#define KVM_SET_SIGNAL_MASK _IOW(KVMIO, 0x8b, TEEIO_ABI_STRUCT(kvm_signal_mask))
#define KVM_GET_FPU _IOR(KVMIO, 0x8c, TEEIO_ABI_STRUCT(kvm_fpu))
#define KVM_SET_FPU _IOW(KVMIO, 0x8d, TEEIO_ABI_STRUCT(kvm_fpu))
#define KVM_GET_LAPIC _IOR(KVMIO, 0x8e, TEEIO_ABI_STRUCT(kvm_lapic_state))
#define KVM_SET_LAPIC _IOW(KVMIO, 0x8f, TEEIO_ABI_STRUCT(kvm_lapic_state))
#define KVM_SET_CPUID2 _IOW(KVMIO, 0x90, TEEIO_ABI_STRUCT(kvm_cpuid2))
#define KVM_GET_CPUID2 _IOWR(KVMIO, 0x91, TEEIO_ABI_STRUCT(kvm_cpuid2))
#define KVM_TPR_ACCESS_REPORTING _IOWR(KVMIO, 0x92, TEEIO_ABI_STRUCT(kvm_tpr_access_ctl))
#define KVM_SET_VAPIC_ADDR _IOW(KVMIO, 0x93, TEEIO_ABI_STRUCT(kvm_vapic_addr))
#define KVM_GET_MP_STATE _IOR(KVMIO, 0x98, TEEIO_ABI_STRUCT(kvm_mp_state))
#define KVM_SET_MP_STATE _IOW(KVMIO, 0x99, TEEIO_ABI_STRUCT(kvm_mp_state))
#define KVM_NMI _IO(KVMIO, 0x9a)
#define KVM_SET_GUEST_DEBUG _IOW(KVMIO, 0x9b, TEEIO_ABI_STRUCT(kvm_guest_debug))
#define KVM_X86_SETUP_MCE _IOW(KVMIO, 0x9c, __u64)
#define KVM_X86_GET_MCE_CAP_SUPPORTED _IOR(KVMIO, 0x9d, __u64)
#define KVM_X86_SET_MCE _IOW(KVMIO, 0x9e, TEEIO_ABI_STRUCT(kvm_x86_mce))
#define KVM_GET_VCPU_EVENTS _IOR(KVMIO, 0x9f, TEEIO_ABI_STRUCT(kvm_vcpu_events))
#define KVM_SET_VCPU_EVENTS _IOW(KVMIO, 0xa0, TEEIO_ABI_STRUCT(kvm_vcpu_events))
#define KVM_GET_DEBUGREGS _IOR(KVMIO, 0xa1, TEEIO_ABI_STRUCT(kvm_debugregs))
#define KVM_SET_DEBUGREGS _IOW(KVMIO, 0xa2, TEEIO_ABI_STRUCT(kvm_debugregs))
#define KVM_ENABLE_CAP _IOW(KVMIO, 0xa3, TEEIO_ABI_STRUCT(kvm_enable_cap))
#define KVM_GET_XSAVE _IOR(KVMIO, 0xa4, TEEIO_ABI_STRUCT(kvm_xsave))
#define KVM_SET_XSAVE _IOW(KVMIO, 0xa5, TEEIO_ABI_STRUCT(kvm_xsave))
#define KVM_GET_XCRS _IOR(KVMIO, 0xa6, TEEIO_ABI_STRUCT(kvm_xcrs))
#define KVM_SET_XCRS _IOW(KVMIO, 0xa7, TEEIO_ABI_STRUCT(kvm_xcrs))
#define KVM_KVMCLOCK_CTRL _IO(KVMIO, 0xad)
#define KVM_SMI _IO(KVMIO, 0xb7)
#define KVM_GET_SREGS2 _IOR(KVMIO, 0xcc, TEEIO_ABI_STRUCT(kvm_sregs2))
#define KVM_SET_SREGS2 _IOW(KVMIO, 0xcd, TEEIO_ABI_STRUCT(kvm_sregs2))
#define KVM_GET_XSAVE2 _IOR(KVMIO, 0xcf, TEEIO_ABI_STRUCT(kvm_xsave))
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, TEEIO_ABI_STRUCT(kvm_pre_fault_memory))

/* ---- capabilities: kvm_caps.h has their numbers ---- */

struct kvm_enable_cap {
  __u32 cap;
  __u32 flags;
  __u64 args[4];
  __u8 pad[64];
};

/* ---- guest memory ---- */

struct kvm_userspace_memory_region {
  __u32 slot; /* bits 16 and up: address space */
  __u32 flags;
  __u64 guest_phys_addr;
  __u64 memory_size; /* 0 deletes the slot */
  __u64 userspace_addr;
};

struct kvm_userspace_memory_region2 {
  __u32 slot;
  __u32 flags;
  __u64 guest_phys_addr;
  __u64 memory_size;
  __u64 userspace_addr;
  __u64 guest_memfd_offset;
  __u32 guest_memfd;
  __u32 pad1;
  __u64 pad2[14];
};
#define KVM_MEM_LOG_DIRTY_PAGES (1UL << 0)
#define KVM_MEM_READONLY (1UL << 1)
#define KVM_MEM_GUEST_MEMFD (1UL << 2)

struct kvm_create_guest_memfd {
  __u64 size;
  __u64 flags;
  __u64 reserved[6];
};
#define GUEST_MEMFD_FLAG_MMAP (1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)

struct kvm_memory_attributes {
  __u64 address;
  __u64 size;
  __u64 attributes;
  __u64 flags; /* 0 */
};
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)

struct kvm_pre_fault_memory {
  __u64 gpa;  /* out: where it stopped */
  __u64 size; /* out: what is left */
  __u64 flags;
  __u64 padding[5];
};

/* ---- devices ---- */

enum kvm_device_type {
  KVM_DEV_TYPE_FSL_MPIC_20 = 1,
  KVM_DEV_TYPE_FSL_MPIC_42 = 2,
  KVM_DEV_TYPE_XICS = 3,
  KVM_DEV_TYPE_VFIO = 4,
  KVM_DEV_TYPE_ARM_VGIC_V2 = 5
};

struct kvm_create_device {
  __u32 type;
  __u32 fd; /* out */
  __u32 flags;
};
#define KVM_CREATE_DEVICE_TEST 1

struct kvm_device_attr {
  __u32 flags;
  __u32 group;
  __u64 attr;
  __u64 addr;
};

/* Group of the VFIO device, and its attributes; addr points to an s32 fd. */
#define KVM_DEV_VFIO_FILE 1
#define KVM_DEV_VFIO_FILE_ADD 1
#define KVM_DEV_VFIO_FILE_DEL 2
#define KVM_DEV_VFIO_GROUP KVM_DEV_VFIO_FILE
#define KVM_DEV_VFIO_GROUP_ADD KVM_DEV_VFIO_FILE_ADD
#define KVM_DEV_VFIO_GROUP_DEL KVM_DEV_VFIO_FILE_DEL
#define KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE 3

/* ---- interrupts and events ---- */

struct kvm_mp_state {
  __u32 mp_state;
};
#define KVM_MP_STATE_RUNNABLE 0
#define KVM_MP_STATE_UNINITIALIZED 1
#define KVM_MP_STATE_INIT_RECEIVED 2
#define KVM_MP_STATE_HALTED 3

struct kvm_irqfd {
  __u32 fd;
  __u32 gsi;
  __u32 flags;
  __u32 resamplefd;
  __u8 pad[16];
};

struct kvm_ioeventfd {
  __u64 datamatch;
  __u64 addr;
  __u32 len;
  __s32 fd;
  __u32 flags;
  __u8 pad[36];
};

struct kvm_msi {
  __u32 address_lo;
  __u32 address_hi;
  __u32 data;
  __u32 flags;
  __u32 devid;
  __u8 pad[12];
};

#endif
