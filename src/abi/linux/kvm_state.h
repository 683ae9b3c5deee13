/* The x86 half of the KVM uAPI, second part: what a VMM saves and restores of a vCPU, an
 * interrupt controller, a clock, and the logs and counters that it reads.
 */
#ifndef TEEIO_ABI_LINUX_KVM_STATE_H
#define TEEIO_ABI_LINUX_KVM_STATE_H

#pragma GCC system_header

/* ---- interrupt controllers ---- */

#define KVM_NR_IRQCHIPS 3
#define KVM_IRQCHIP_PIC_MASTER 0
#define KVM_IRQCHIP_PIC_SLAVE 1
#define KVM_IRQCHIP_IOAPIC 2
#define KVM_IOAPIC_NUM_PINS 24

struct kvm_pic_state {
  __u8 last_irr, irr, imr, isr;
  __u8 priority_add, irq_base, read_reg_select, poll;
  __u8 special_mask, init_state, auto_eoi, rotate_on_auto_eoi;
  __u8 special_fully_nested_mode, init4, elcr, elcr_mask;
};

struct kvm_ioapic_state {
  __u64 base_address;
  __u32 ioregsel;
  __u32 id;
  __u32 irr;
  __u32 pad;
  __u64 redirtbl[KVM_IOAPIC_NUM_PINS];
};

struct kvm_irqchip {
  __u32 chip_id;
  __u32 pad;
  union {
    char dummy[512];
    struct kvm_pic_state pic;
    struct kvm_ioapic_state ioapic;
  } chip;
};

struct kvm_irq_level {
  union {
    __u32 irq;
    __s32 status;
  };
  __u32 level;
};

struct kvm_pit_config {
  __u32 flags;
  __u32 pad[15];
};
#define KVM_PIT_SPEAKER_DUMMY 1

struct kvm_pit_channel_state {
  __u32 count;
  __u16 latched_count;
  __u8 count_latched, status_latched, status, read_state, write_state, write_latch;
  __u8 rw_mode, mode, bcd, gate;
  __s64 count_load_time;
};
struct kvm_pit_state {
  struct kvm_pit_channel_state channels[3];
};
struct kvm_pit_state2 {
  struct kvm_pit_channel_state channels[3];
  __u32 flags;
  __u32 reserved[9];
};
struct kvm_reinject_control {
  __u8 pit_reinject;
  __u8 reserved[31];
};

#define KVM_IRQ_ROUTING_IRQCHIP 1
#define KVM_IRQ_ROUTING_MSI 2
#define KVM_MSI_VALID_DEVID (1U << 0)
struct kvm_irq_routing_entry {
  __u32 gsi;
  __u32 type;
  __u32 flags;
  __u32 pad;
  union {
    struct {
      __u32 irqchip, pin;
    } irqchip;
    struct {
      __u32 address_lo, address_hi, data, devid;
    } msi;
    __u32 pad[8];
  } u;
};
struct kvm_irq_routing {
  __u32 nr;
  __u32 flags;
  struct kvm_irq_routing_entry entries[];
};

/* Flags of struct kvm_irqfd and of struct kvm_ioeventfd. */
#define KVM_IRQFD_FLAG_DEASSIGN (1 << 0)
#define KVM_IRQFD_FLAG_RESAMPLE (1 << 1)
#define KVM_IOEVENTFD_FLAG_DATAMATCH (1 << 0)
#define KVM_IOEVENTFD_FLAG_PIO (1 << 1)
#define KVM_IOEVENTFD_FLAG_DEASSIGN (1 << 2)
#define KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY (1 << 3)

struct kvm_coalesced_mmio_zone {
  __u64 addr;
  __u32 size;
  __u32 pio;
};

/* ---- a vCPU ---- */

struct kvm_guest_debug {
  __u32 control;
  __u32 pad;
  struct kvm_guest_debug_arch arch;
};

struct kvm_signal_mask {
  __u32 len; /* bytes: 8 */
  __u8 sigset[];
};

struct kvm_interrupt {
  __u32 irq;
};
struct kvm_translation {
  __u64 linear_address;
  __u64 physical_address;
  __u8 valid, writeable, usermode;
  __u8 pad[5];
};
struct kvm_debugregs {
  __u64 db[4];
  __u64 dr6, dr7;
  __u64 flags;
  __u64 reserved[9];
};
struct kvm_xsave {
  __u32 region[1024];
};
struct kvm_xcr {
  __u32 xcr;
  __u32 reserved;
  __u64 value;
};
struct kvm_xcrs {
  __u32 nr_xcrs;
  __u32 flags;
  struct kvm_xcr xcrs[16];
  __u64 padding[16];
};
struct kvm_x86_mce {
  __u64 status, addr, misc, mcg_status;
  __u8 bank;
  __u8 pad1[7];
  __u64 pad2[3];
};
struct kvm_tpr_access_ctl {
  __u32 enabled;
  __u32 flags;
  __u32 reserved[8];
};
struct kvm_vapic_addr {
  __u64 vapic_addr;
};

/* Flags of struct kvm_vcpu_events: which optional fields count. */
#define KVM_VCPUEVENT_VALID_NMI_PENDING 0x01
#define KVM_VCPUEVENT_VALID_SIPI_VECTOR 0x02
#define KVM_VCPUEVENT_VALID_SHADOW 0x04
#define KVM_VCPUEVENT_VALID_SMM 0x08
#define KVM_VCPUEVENT_VALID_PAYLOAD 0x10
#define KVM_VCPUEVENT_VALID_TRIPLE_FAULT 0x20

/* Attributes of /dev/kvm and of a vCPU (KVM_GET_DEVICE_ATTR). */
#define KVM_X86_GRP_SYSTEM 0
#define KVM_X86_XCOMP_GUEST_SUPP 0
#define KVM_VCPU_TSC_CTRL 0
#define KVM_VCPU_TSC_OFFSET 0

/* ---- a VM ---- */

struct kvm_clock_data {
  __u64 clock;
  __u32 flags;
  __u32 pad0;
  __u64 realtime;
  __u64 host_tsc;
  __u32 pad[4];
};
#define KVM_CLOCK_TSC_STABLE 2
#define KVM_CLOCK_REALTIME (1 << 2)
#define KVM_CLOCK_HOST_TSC (1 << 3)

#define KVM_MSR_FILTER_MAX_RANGES 16
#define KVM_MSR_FILTER_MAX_BITMAP_SIZE 0x600
#define KVM_MSR_FILTER_READ (1 << 0)
#define KVM_MSR_FILTER_WRITE (1 << 1)
#define KVM_MSR_FILTER_DEFAULT_DENY (1 << 0)
struct kvm_msr_filter_range {
  __u32 flags;
  __u32 nmsrs;
  __u32 base;
  __u8* bitmap;
};
struct kvm_msr_filter {
  __u32 flags;
  struct kvm_msr_filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

struct kvm_dirty_log {
  __u32 slot;
  __u32 padding1;
  __u64 dirty_bitmap; /* a pointer */
};
struct kvm_clear_dirty_log {
  __u32 slot;
  __u32 num_pages;
  __u64 first_page;
  __u64 dirty_bitmap; /* a pointer */
};
#define KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE (1 << 0)
#define KVM_DIRTY_LOG_INITIALLY_SET (1 << 1)

struct kvm_stats_header {
  __u32 flags, name_size, num_desc, id_offset, desc_offset, data_offset;
};
struct kvm_stats_desc {
  __u32 flags;
  __s16 exponent;
  __u16 size;
  __u32 offset;
  __u32 bucket_size;
  char name[];
};
#define KVM_STATS_TYPE_CUMULATIVE 0
#define KVM_STATS_TYPE_INSTANT 1
#define KVM_STATS_UNIT_NONE (0 << 4)

#define KVM_X2APIC_API_USE_32BIT_IDS (1ULL << 0)
#define KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK (1ULL << 1)
#define KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST (1ULL << 2)
#define KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST (1ULL << 3)

#define KVM_HC_MAP_GPA_RANGE 12

#define KVM_MSR_EXIT_REASON_INVAL (1 << 0)
#define KVM_MSR_EXIT_REASON_UNKNOWN (1 << 1)
#define KVM_MSR_EXIT_REASON_FILTER (1 << 2)

#endif
