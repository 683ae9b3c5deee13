/* The x86 half of the KVM uAPI: registers, CPUID, VM types, TDX commands.
 *
 * Source of every fact here: Linux arch/x86/include/uapi/asm/kvm.h, 7.3.
 * Included by kvm.h beside it, never alone.
 */
#ifndef TEEIO_ABI_LINUX_KVM_X86_H
#define TEEIO_ABI_LINUX_KVM_X86_H

#pragma GCC system_header

/* Pages of the vCPU's mapping after struct kvm_run. */
#define KVM_PIO_PAGE_OFFSET 1
#define KVM_COALESCED_MMIO_PAGE_OFFSET 2

#define KVM_NR_INTERRUPTS 256

/* ---- VM types (argument of KVM_CREATE_VM) ---- */

#define KVM_X86_DEFAULT_VM 0
#define KVM_X86_SW_PROTECTED_VM 1
#define KVM_X86_SEV_VM 2
#define KVM_X86_SEV_ES_VM 3
#define KVM_X86_SNP_VM 4
#define KVM_X86_TDX_VM 5

/* ---- registers ---- */

struct kvm_regs {
  __u64 rax, rbx, rcx, rdx;
  __u64 rsi, rdi, rsp, rbp;
  __u64 r8, r9, r10, r11, r12, r13, r14, r15;
  __u64 rip, rflags;
};

struct kvm_segment {
  __u64 base;
  __u32 limit;
  __u16 selector;
  __u8 type, present, dpl, db, s, l, g, avl;
  __u8 unusable;
  __u8 padding;
};

struct kvm_dtable {
  __u64 base;
  __u16 limit;
  __u16 padding[3];
};

struct kvm_sregs {
  struct kvm_segment cs, ds, es, fs, gs, ss, tr, ldt;
  struct kvm_dtable gdt, idt;
  __u64 cr0, cr2, cr3, cr4, cr8;
  __u64 efer;
  __u64 apic_base;
  __u64 interrupt_bitmap[KVM_NR_INTERRUPTS / 64];
};

struct kvm_sregs2 {
  struct kvm_segment cs, ds, es, fs, gs, ss, tr, ldt;
  struct kvm_dtable gdt, idt;
  __u64 cr0, cr2, cr3, cr4, cr8;
  __u64 efer;
  __u64 apic_base;
  __u64 flags;
  __u64 pdptrs[4];
};
#define KVM_SREGS2_FLAGS_PDPTRS_VALID 1

struct kvm_fpu {
  __u8 fpr[8][16];
  __u16 fcw;
  __u16 fsw;
  __u8 ftwx;
  __u8 pad1;
  __u16 last_opcode;
  __u64 last_ip;
  __u64 last_dp;
  __u8 xmm[16][16];
  __u32 mxcsr;
  __u32 pad2;
};

struct kvm_msr_entry {
  __u32 index;
  __u32 reserved;
  __u64 data;
};

struct kvm_msrs {
  __u32 nmsrs;
  __u32 pad;
  struct kvm_msr_entry entries[];
};

struct kvm_msr_list {
  __u32 nmsrs;
  __u32 indices[];
};

struct kvm_cpuid_entry2 {
  __u32 function;
  __u32 index;
  __u32 flags;
  __u32 eax, ebx, ecx, edx;
  __u32 padding[3];
};
#define KVM_CPUID_FLAG_SIGNIFCANT_INDEX (1 << 0)

struct kvm_cpuid2 {
  __u32 nent;
  __u32 padding;
  struct kvm_cpuid_entry2 entries[];
};

#define KVM_APIC_REG_SIZE 0x400
struct kvm_lapic_state {
  char regs[KVM_APIC_REG_SIZE];
};

struct kvm_debug_exit_arch {
  __u32 exception;
  __u32 pad;
  __u64 pc;
  __u64 dr6;
  __u64 dr7;
};

struct kvm_guest_debug_arch {
  __u64 debugreg[8];
};

#define KVM_GUESTDBG_ENABLE 0x00000001
#define KVM_GUESTDBG_SINGLESTEP 0x00000002
#define KVM_GUESTDBG_USE_SW_BP 0x00010000
#define KVM_GUESTDBG_USE_HW_BP 0x00020000
#define KVM_GUESTDBG_INJECT_DB 0x00040000
#define KVM_GUESTDBG_INJECT_BP 0x00080000
#define KVM_GUESTDBG_BLOCKIRQ 0x00100000

struct kvm_vcpu_events {
  struct {
    __u8 injected;
    __u8 nr;
    __u8 has_error_code;
    __u8 pending;
    __u32 error_code;
  } exception;
  struct {
    __u8 injected;
    __u8 nr;
    __u8 soft;
    __u8 shadow;
  } interrupt;
  struct {
    __u8 injected;
    __u8 pending;
    __u8 masked;
    __u8 pad;
  } nmi;
  __u32 sipi_vector;
  __u32 flags;
  struct {
    __u8 smm;
    __u8 pending;
    __u8 smm_inside_nmi;
    __u8 latched_init;
  } smi;
  struct {
    __u8 pending;
  } triple_fault;
  __u8 reserved[26];
  __u8 exception_has_payload;
  __u64 exception_payload;
};

/* Register copies inside struct kvm_run, when a VMM asks for them. */
struct kvm_sync_regs {
  struct kvm_regs regs;
  struct kvm_sregs sregs;
  struct kvm_vcpu_events events;
};

/* Bits of kvm_run.flags. */
#define KVM_RUN_X86_SMM (1 << 0)
#define KVM_RUN_X86_BUS_LOCK (1 << 1)
#define KVM_RUN_X86_GUEST_MODE (1 << 2)

/* ---- TDX (KVM_MEMORY_ENCRYPT_OP with a kvm_tdx_cmd) ---- */

enum kvm_tdx_cmd_id {
  KVM_TDX_CAPABILITIES = 0,
  KVM_TDX_INIT_VM = 1,
  KVM_TDX_INIT_VCPU = 2,
  KVM_TDX_INIT_MEM_REGION = 3,
  KVM_TDX_FINALIZE_VM = 4,
  KVM_TDX_GET_CPUID = 5,
  KVM_TDX_CMD_NR_MAX = 6
};

struct kvm_tdx_cmd {
  __u32 id;
  __u32 flags; /* 0, but for INIT_MEM_REGION */
  __u64 data;  /* pointer or value, by id */
  __u64 hw_error;
};

struct kvm_tdx_capabilities {
  __u64 supported_attrs;
  __u64 supported_xfam;
  __u64 kernel_tdvmcallinfo_1_r11;
  __u64 user_tdvmcallinfo_1_r11;
  __u64 kernel_tdvmcallinfo_1_r12;
  __u64 user_tdvmcallinfo_1_r12;
  __u64 reserved[250];
  struct kvm_cpuid2 cpuid; /* in: nent is the room; out: what may be set */
};

struct kvm_tdx_init_vm {
  __u64 attributes;
  __u64 xfam;
  __u64 mrconfigid[6];
  __u64 mrowner[6];
  __u64 mrownerconfig[6];
  __u64 reserved[12];
  struct kvm_cpuid2 cpuid;
};

struct kvm_tdx_init_mem_region {
  __u64 source_addr;
  __u64 gpa;
  __u64 nr_pages;
};
#define KVM_TDX_MEASURE_MEMORY_REGION (1ULL << 0)

/* ---- SEV (KVM_MEMORY_ENCRYPT_OP with a kvm_sev_cmd) ---- */

enum sev_cmd_id {
  KVM_SEV_INIT = 0,
  KVM_SEV_ES_INIT,
  KVM_SEV_LAUNCH_START,
  KVM_SEV_LAUNCH_UPDATE_DATA,
  KVM_SEV_LAUNCH_UPDATE_VMSA,
  KVM_SEV_LAUNCH_SECRET,
  KVM_SEV_LAUNCH_MEASURE,
  KVM_SEV_LAUNCH_FINISH,
  KVM_SEV_SEND_START,
  KVM_SEV_SEND_UPDATE_DATA,
  KVM_SEV_SEND_UPDATE_VMSA,
  KVM_SEV_SEND_FINISH,
  KVM_SEV_RECEIVE_START,
  KVM_SEV_RECEIVE_UPDATE_DATA,
  KVM_SEV_RECEIVE_UPDATE_VMSA,
  KVM_SEV_RECEIVE_FINISH,
  KVM_SEV_GUEST_STATUS,
  KVM_SEV_DBG_DECRYPT,
  KVM_SEV_DBG_ENCRYPT,
  KVM_SEV_CERT_EXPORT,
  KVM_SEV_GET_ATTESTATION_REPORT,
  KVM_SEV_SEND_CANCEL,
  KVM_SEV_INIT2,
  KVM_SEV_SNP_LAUNCH_START = 100,
  KVM_SEV_SNP_LAUNCH_UPDATE,
  KVM_SEV_SNP_LAUNCH_FINISH,
  KVM_SEV_NR_MAX
};

struct kvm_sev_cmd {
  __u32 id;
  __u32 pad0;
  __u64 data; /* pointer, by id */
  __u32 error; /* out: the firmware's answer */
  __u32 sev_fd;
};

struct kvm_sev_init {
  __u64 vmsa_features;
  __u32 flags;
  __u16 ghcb_version;
  __u16 pad1;
  __u32 pad2[8];
};

struct kvm_sev_snp_launch_start {
  __u64 policy;
  __u8 gosvw[16];
  __u16 flags;
  __u8 pad0[6];
  __u64 pad1[4];
};

#define KVM_SEV_SNP_PAGE_TYPE_NORMAL 0x1
#define KVM_SEV_SNP_PAGE_TYPE_ZERO 0x3
#define KVM_SEV_SNP_PAGE_TYPE_UNMEASURED 0x4
#define KVM_SEV_SNP_PAGE_TYPE_SECRETS 0x5
#define KVM_SEV_SNP_PAGE_TYPE_CPUID 0x6

struct kvm_sev_snp_launch_update {
  __u64 gfn_start; /* out: where it stopped, as the next two */
  __u64 uaddr;
  __u64 len;
  __u8 type;
  __u8 pad0;
  __u16 flags;
  __u32 pad1;
  __u64 pad2[4];
};

#define KVM_SEV_SNP_ID_BLOCK_SIZE 96
#define KVM_SEV_SNP_ID_AUTH_SIZE 4096
#define KVM_SEV_SNP_FINISH_DATA_SIZE 32

struct kvm_sev_snp_launch_finish {
  __u64 id_block_uaddr;
  __u64 id_auth_uaddr;
  __u8 id_block_en;
  __u8 auth_key_en;
  __u8 vcek_disabled;
  __u8 host_data[KVM_SEV_SNP_FINISH_DATA_SIZE];
  __u8 pad0[3];
  __u16 flags;
  __u64 pad1[4];
};

#endif
