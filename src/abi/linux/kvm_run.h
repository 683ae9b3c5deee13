/* Why KVM_RUN came back, and the first page of a vCPU's mapping, for C and C++; <linux/kvm.h> includes it.
 *
 * Source of every fact here: Linux include/uapi/linux/kvm.h, 7.3.
 */
#ifndef TEEIO_ABI_LINUX_KVM_RUN_H
#define TEEIO_ABI_LINUX_KVM_RUN_H

#include <linux/types.h>

#pragma GCC system_header

/* ---- why KVM_RUN came back ---- */

#define KVM_EXIT_UNKNOWN 0
#define KVM_EXIT_EXCEPTION 1
#define KVM_EXIT_IO 2
#define KVM_EXIT_HYPERCALL 3
#define KVM_EXIT_DEBUG 4
#define KVM_EXIT_HLT 5
#define KVM_EXIT_MMIO 6
#define KVM_EXIT_IRQ_WINDOW_OPEN 7
#define KVM_EXIT_SHUTDOWN 8
#define KVM_EXIT_FAIL_ENTRY 9
#define KVM_EXIT_INTR 10
#define KVM_EXIT_SET_TPR 11
#define KVM_EXIT_TPR_ACCESS 12
#define KVM_EXIT_NMI 16
#define KVM_EXIT_INTERNAL_ERROR 17
#define KVM_EXIT_SYSTEM_EVENT 24
#define KVM_EXIT_IOAPIC_EOI 26
#define KVM_EXIT_HYPERV 27
#define KVM_EXIT_X86_RDMSR 29
#define KVM_EXIT_X86_WRMSR 30
#define KVM_EXIT_DIRTY_RING_FULL 31
#define KVM_EXIT_AP_RESET_HOLD 32
#define KVM_EXIT_X86_BUS_LOCK 33
#define KVM_EXIT_XEN 34
#define KVM_EXIT_NOTIFY 37
#define KVM_EXIT_MEMORY_FAULT 39
#define KVM_EXIT_TDX 40

#define KVM_INTERNAL_ERROR_EMULATION 1
#define KVM_INTERNAL_ERROR_SIMUL_EX 2
#define KVM_INTERNAL_ERROR_DELIVERY_EV 3
#define KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON 4

#define KVM_EXIT_IO_IN 0
#define KVM_EXIT_IO_OUT 1

#define KVM_SYSTEM_EVENT_SHUTDOWN 1
#define KVM_SYSTEM_EVENT_RESET 2
#define KVM_SYSTEM_EVENT_CRASH 3
#define KVM_SYSTEM_EVENT_WAKEUP 4
#define KVM_SYSTEM_EVENT_SUSPEND 5
#define KVM_SYSTEM_EVENT_SEV_TERM 6
#define KVM_SYSTEM_EVENT_TDX_FATAL 7

#define KVM_MEMORY_EXIT_FLAG_PRIVATE (1ULL << 3)

#define SYNC_REGS_SIZE_BYTES 2048

/* The first page of a vCPU's mapping. */
struct kvm_run {
  /* in */
  __u8 request_interrupt_window;
  __u8 immediate_exit;
  __u8 padding1[6];
  /* out */
  __u32 exit_reason;
  __u8 ready_for_interrupt_injection;
  __u8 if_flag;
  __u16 flags;
  /* in and out */
  __u64 cr8;
  __u64 apic_base;
  union { /* by exit_reason */
    struct {
      __u64 hardware_exit_reason;
    } hw;
    struct {
      __u64 hardware_entry_failure_reason;
      __u32 cpu;
    } fail_entry;
    struct {
      __u32 exception;
      __u32 error_code;
    } ex;
    struct {
      __u8 direction;
      __u8 size;
      __u16 port;
      __u32 count;
      __u64 data_offset; /* from the start of kvm_run */
    } io;
    struct {
      struct kvm_debug_exit_arch arch;
    } debug;
    struct {
      __u64 phys_addr;
      __u8 data[8];
      __u32 len;
      __u8 is_write;
    } mmio;
    struct {
      __u64 nr;
      __u64 args[6];
      __u64 ret;
      union {
        __u32 longmode;
        __u64 flags;
      };
    } hypercall;
    struct {
      __u64 rip;
      __u32 is_write;
      __u32 pad;
    } tpr_access;
    struct {
      __u32 suberror;
      __u32 ndata;
      __u64 data[16];
    } internal;
    struct {
      __u32 suberror;
      __u32 ndata;
      __u64 flags;
      union {
        struct {
          __u8 insn_size;
          __u8 insn_bytes[15];
        };
      };
    } emulation_failure;
    struct {
      __u32 type;
      __u32 ndata;
      union {
        __u64 flags;
        __u64 data[16];
      };
    } system_event;
    struct {
      __u8 vector;
    } eoi;
    struct {
      __u8 error;
      __u8 pad[7];
      __u32 reason;
      __u32 index;
      __u64 data;
    } msr;
    struct {
      __u32 flags;
    } notify;
    struct {
      __u64 flags;
      __u64 gpa;
      __u64 size;
    } memory_fault;
    struct {
      __u64 flags;
      __u64 nr; /* TDVMCALL leaf */
      union {
        struct {
          __u64 ret;
          __u64 data[5];
        } unknown;
        struct {
          __u64 ret;
          __u64 gpa;
          __u64 size;
        } get_quote;
        struct {
          __u64 ret;
          __u64 leaf;
          __u64 r11, r12, r13, r14;
        } get_tdvmcall_info;
        struct {
          __u64 ret;
          __u64 vector;
        } setup_event_notify;
      };
    } tdx;
    char padding[256];
  };
  __u64 kvm_valid_regs;
  __u64 kvm_dirty_regs;
  union {
    struct kvm_sync_regs regs;
    char padding[SYNC_REGS_SIZE_BYTES];
  } s;
};

#endif
