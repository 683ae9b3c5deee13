/* Proposed uAPI that is in no released Linux: binding a vDEVICE to a TSM.
 *
 * Sources: "[RFC PATCH 00/30] Host side (KVM/VFIO/IOMMUFD) support for TDISP
 * using TSM" (2025-05-29) for VFIO_DEVICE_TSM_*, KVM_MEM_VFIO_DMABUF and the
 * guest request; "[PATCH v5 0/5] Add iommufd ioctls to support TSM operations"
 * (2026-05-25) for IOMMU_VDEVICE_TSM_OP and _REQ. The two iommufd numbers are
 * those of teeio's own profile; abi/profile.h knows what the other profiles
 * use. Includes neither of its parents, so that a room can wrap it.
 */
#ifndef TEEIO_ABI_LINUX_TEEIO_PROPOSED_H
#define TEEIO_ABI_LINUX_TEEIO_PROPOSED_H

#include <linux/ioctl.h>
#include <linux/types.h>

#pragma GCC system_header

/* ---- VFIO owns bind (cdev only) ---- */

struct vfio_pci_tsm_bind {
  __u32 argsz;
  __u32 flags; /* 0 */
  __u32 vdevice_id;
  __u32 pad;
};
#define VFIO_DEVICE_TSM_BIND _IO(';', 100 + 22)

struct vfio_pci_tsm_unbind {
  __u32 argsz;
  __u32 flags; /* 0 */
};
#define VFIO_DEVICE_TSM_UNBIND _IO(';', 100 + 23)

/* ---- a guest's SEV-TIO requests come out of KVM_RUN ----
 *
 * "[RFC PATCH v2 11/22] KVM: SEV: Add TIO VMGEXIT" (2025-02-18). The struct stands where
 * struct kvm_run has its union. req_spa and rsp_spa are guest addresses here: pages of the
 * host mean nothing to a program. KVM_USER_VMGEXIT_TIO_OP is teeio's own: what KVM does with
 * the second phase's VMGEXIT is not public. The number is that of KVM_EXIT_TDX too: the VM's
 * type tells.
 */

#define KVM_EXIT_VMGEXIT 40
#define KVM_USER_VMGEXIT_TIO_REQ 4
#define KVM_USER_VMGEXIT_TIO_OP 5
#define KVM_USER_VMGEXIT_TIO_REQ_FLAG_STATUS (1 << 0)
#define KVM_USER_VMGEXIT_TIO_REQ_FLAG_MMIO_VALIDATE (1 << 1)
#define KVM_USER_VMGEXIT_TIO_REQ_FLAG_MMIO_CONFIG (1 << 2)

struct kvm_user_vmgexit {
  __u32 type; /* KVM_USER_VMGEXIT_* */
  union {
    struct {
      __u32 guest_rid;
      __u16 ret; /* out */
      __u8 flags;
      __u8 tdi_status; /* out */
      __u64 data_gpa;
      __u64 data_npages; /* in and out */
      __u64 req_spa;
      __u64 rsp_spa;
      __u64 mmio_gpa;
      __s32 fw_err; /* out */
    } tio_req;
    struct {
      __u32 guest_rid;
      __u32 action; /* 0 bind, 1 unbind, 2 run, 3 stop */
      __u32 ret;    /* out: 0, or an errno */
      __u64 tdi_id; /* out: of bind */
    } tio_op;
  };
} __attribute__((packed));

/* ---- KVM: realms ----
 *
 * What of arm64's KVM a realm needs, for a program on x86: struct kvm_vcpu_init, one_reg,
 * SMCCC filters (asm/kvm.h of arm64); VM type and KVM_ARM_RMI_POPULATE of the Arm CCA
 * patches for KVM (2026-03-18, <20260318155413.793430-1-steven.price@arm.com>);
 * KVM_EXIT_ARM64_TIO of "[RFC PATCH v4 00/16] coco/TSM: Implement host-side support for Arm
 * CCA TDISP setup" (2026-04-27). The reason's number is that of the tree behind v7 of
 * iommufd's series (2026-10); the mail has 9.
 */

#define KVM_VM_TYPE_ARM_REALM 0x100

struct kvm_vcpu_init {
  __u32 target;
  __u32 features[7];
};
#define KVM_ARM_TARGET_GENERIC_V8 5
#define KVM_ARM_VCPU_POWER_OFF 0
#define KVM_ARM_VCPU_PSCI_0_2 2
#define KVM_ARM_VCPU_INIT _IOC(_IOC_WRITE, 0xAE, 0xae, 32)
#define KVM_ARM_PREFERRED_TARGET _IOC(_IOC_READ, 0xAE, 0xaf, 32)

struct kvm_one_reg {
  __u64 id;
  __u64 addr;
};
#define KVM_GET_ONE_REG _IOC(_IOC_WRITE, 0xAE, 0xab, 16)
#define KVM_SET_ONE_REG _IOC(_IOC_WRITE, 0xAE, 0xac, 16)
/* x0-x30, then sp, then pc. */
#define KVM_REG_ARM64_CORE_U64(number) (0x6030000000100000ULL | (number) * 2)

struct kvm_smccc_filter {
  __u32 base;
  __u32 nr_functions;
  __u8 action; /* KVM_SMCCC_FILTER_* */
  __u8 pad[15];
};
#define KVM_ARM_VM_SMCCC_CTRL 0
#define KVM_ARM_VM_SMCCC_FILTER 0
#define KVM_SMCCC_FILTER_HANDLE 0
#define KVM_SMCCC_FILTER_DENY 1
#define KVM_SMCCC_FILTER_FWD_TO_USER 2

struct kvm_arm_rmi_populate {
  __u64 base; /* in and out, as the next two */
  __u64 size;
  __u64 source_uaddr;
  __u32 flags;
  __u32 reserved;
};
#define KVM_ARM_RMI_POPULATE_FLAGS_MEASURE (1 << 0)
#define KVM_ARM_RMI_POPULATE _IOC(_IOC_WRITE, 0xAE, 0xd7, 32)

#define KVM_EXIT_ARM64_TIO 44
#define RMI_EXIT_VDEV_VALIDATE_MAPPING 8
/* Stands where struct kvm_run has its union. */
struct kvm_arm64_tio {
  __u64 flags;
  __u64 nr; /* RMI_EXIT_VDEV_VALIDATE_MAPPING */
  __u64 vdev_id;
  __u64 gpa_base;
  __u64 gpa_top; /* in and out */
  __u64 pa_base;
  __u64 response; /* out: 0 accepts */
};

/* ---- iommufd owns bind ---- */

/* teeio's number for the vIOMMU of a TSM; released types end at 2. */
#define IOMMU_VIOMMU_TYPE_TSM 3

enum {
  IOMMUFD_CMD_VDEVICE_TSM_OP = 0x96,
  IOMMUFD_CMD_VDEVICE_TSM_REQ = 0x97,
  IOMMUFD_CMD_VDEVICE_TSM_OP_V5 = 0x95,
  IOMMUFD_CMD_VDEVICE_TSM_REQ_V5 = 0x96,
  IOMMUFD_CMD_VDEVICE_TSM_GUEST_REQUEST_RFC = 0x94
};

enum iommu_vdevice_tsm_op_type { IOMMU_VDEVICE_TSM_BIND = 1, IOMMU_VDEVICE_TSM_UNBIND = 2 };

struct iommu_vdevice_tsm_op {
  __u32 size;
  __u32 type;
  __u32 flags; /* 0 */
  __u32 vdevice_id;
};
#define IOMMU_VDEVICE_TSM_OP _IO(';', 0x96)
#define IOMMU_VDEVICE_TSM_OP_V5 _IO(';', 0x95)

enum iommu_vdevice_tsm_guest_tvm_arch {
  IOMMU_VDEVICE_TSM_TVM_ARCH_CCA = 1,
  IOMMU_VDEVICE_TSM_TVM_ARCH_SEV = 2,
  IOMMU_VDEVICE_TSM_TVM_ARCH_TDX = 3
};

enum iommu_vdevice_tsm_guest_req_op {
  TSM_REQ_READ_OBJECT = 1,
  TSM_REQ_REGEN_OBJECT = 2,
  TSM_REQ_OBJECT_INFO = 3,
  TSM_REQ_VALIDATE_MMIO = 4,
  TSM_REQ_SET_TDI_STATE = 5,
  TSM_REQ_SEV_ENABLE_DMA = 6,
  TSM_REQ_SEV_DISABLE_DMA = 7
};

/* Answers 0 or, when positive, the part of the response that did not fit. */
struct iommu_vdevice_tsm_req {
  __u32 size;
  __u32 vdevice_id;
  __u32 op;
  __u32 tvm_arch;
  __u32 req_len;
  __u32 resp_len;
  __aligned_u64 req_uptr;
  __aligned_u64 resp_uptr;
  __aligned_u64 tsm_code; /* out, also when the call fails */
};
#define IOMMU_VDEVICE_TSM_REQ _IO(';', 0x97)

/* What req_uptr points to. The posted series leaves it to each TSM; these are
 * teeio's. READ_OBJECT without a request gives the interface report and
 * OBJECT_INFO the TDI's state, a __u32. On TDX the guest's request waits in the module (TDG.DEVIF.REQUEST)
 * and the module keeps the answer for the guest, so both have no response:
 * they let the host carry the request to the device. */
enum tsm_tdi_state { TSM_TDI_UNLOCKED = 0, TSM_TDI_LOCKED = 1, TSM_TDI_RUN = 2 };

/* READ_OBJECT: part of an object. TSM_OBJECT_REPORT from offset 0 is what an empty
 * request means. */
enum tsm_object {
  TSM_OBJECT_REPORT = 0,
  TSM_OBJECT_EVIDENCE = 1,
  TSM_OBJECT_CERTIFICATES = 2, /* SEV-TIO, CCA: what the firmware's digests are of */
  TSM_OBJECT_MEASUREMENTS = 3,
  TSM_OBJECT_VCA = 4 /* TDX, CCA */
};
struct tsm_req_read_object {
  __u32 object; /* enum tsm_object */
  __u32 offset; /* bytes */
};

/* REGEN_OBJECT: the device measures itself anew and signs that with the nonce. */
struct tsm_req_regen_object {
  __u8 nonce[32];
};

struct tsm_req_set_tdi_state {
  __u32 state; /* enum tsm_tdi_state; on TDX only TSM_TDI_RUN */
};

/* CCA: the guest's addresses and what the report says is behind them. */
struct tsm_req_validate_mmio {
  __aligned_u64 gpa_base;
  __aligned_u64 gpa_top;
  __aligned_u64 address;
};
#define IOMMU_VDEVICE_TSM_REQ_V5 _IO(';', 0x96)

/* ---- iommufd, v6 and v7 ----
 * "[PATCH v7 00/16] iommufd: vIOMMUs and TSM guest requests for confidential guests"
 * (2026-10-08); v6 is the tree between it and v5: v5's numbers of ioctls + 1, and no
 * operation on objects. struct iommu_vdevice_tsm_req is as above; a positive answer
 * counts the bytes of the response that were not used. In v7 there is no bind:
 * IOMMU_VDEVICE_ALLOC binds, IOMMU_DESTROY unbinds. A payload of another length than
 * its struct's is EINVAL. */
#define IOMMU_VDEVICE_TSM_REQ_V7 _IO(';', 0x96)

enum iommu_vdevice_tsm_req_op_v7 {
  TSM_REQ_V7_VALIDATE_MMIO = 1, /* struct tsm_req_validate_mmio */
  TSM_REQ_V7_SET_TDI_STATE = 2, /* struct tsm_req_set_tdi_state */
  TSM_REQ_V7_SEV_ENABLE_DMA = 3,
  TSM_REQ_V7_SEV_DISABLE_DMA = 4,
  TSM_REQ_V7_READ_OBJECT = 5, /* from here on: v7 only */
  TSM_REQ_V7_REGEN_OBJECT = 6,
  TSM_REQ_V7_OBJECT_INFO = 7
};

enum tsm_object_v7 {
  TSM_OBJECT_V7_VCA = 0,
  TSM_OBJECT_V7_CERTIFICATES = 1,
  TSM_OBJECT_V7_MEASUREMENTS = 2,
  TSM_OBJECT_V7_REPORT = 3
};
struct tsm_req_read_object_v7 {
  __u32 object; /* enum tsm_object_v7 */
  __u32 reserved;
  __aligned_u64 offset; /* bytes */
};
struct tsm_req_regen_object_v7 {
  __u32 object;
  __u32 reserved;
  __aligned_u64 flags;      /* 0 */
  __aligned_u64 nonce_uptr; /* 32 bytes */
};

/* ---- the guest request of the 2025 RFC ---- */

struct iommu_vdevice_tsm_guest_request {
  __u32 size;
  __u32 vdevice_id;
  __u32 type;
  __u32 type_info_len;
  __u32 req_len;
  __u32 resp_len;
  __aligned_u64 type_info_uptr;
  __aligned_u64 req_uptr;
  __aligned_u64 resp_uptr;
};
#define IOMMU_VDEVICE_TSM_GUEST_REQUEST _IO(';', 0x94)

/* ---- KVM: a memslot backed by a VFIO dma-buf ---- */

/* Flag of KVM_SET_USER_MEMORY_REGION2: guest_memfd holds the dma-buf,
 * guest_memfd_offset is 0, memory_size is the dma-buf's size. */
#define KVM_MEM_VFIO_DMABUF (1UL << 3)

#endif
