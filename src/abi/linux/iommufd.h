/* The iommufd uAPI of Linux 7.3: names, numbers and layouts, for C and C++.
 *
 * Source of every fact here: Linux include/uapi/linux/iommufd.h. A program
 * includes it as <linux/iommufd.h>; the rooms of teeio include abi/iommufd.h,
 * which puts the same declarations into teeio::abi. Each ioctl takes a struct
 * whose first word is its own size; see abi/README.md for the size rules.
 */
#ifndef TEEIO_ABI_LINUX_IOMMUFD_H
#define TEEIO_ABI_LINUX_IOMMUFD_H

#include <linux/ioctl.h>
#include <linux/types.h>

#pragma GCC system_header

#define IOMMUFD_TYPE (';')

enum {
  IOMMUFD_CMD_BASE = 0x80,
  IOMMUFD_CMD_DESTROY = 0x80,
  IOMMUFD_CMD_IOAS_ALLOC = 0x81,
  IOMMUFD_CMD_IOAS_ALLOW_IOVAS = 0x82,
  IOMMUFD_CMD_IOAS_COPY = 0x83,
  IOMMUFD_CMD_IOAS_IOVA_RANGES = 0x84,
  IOMMUFD_CMD_IOAS_MAP = 0x85,
  IOMMUFD_CMD_IOAS_UNMAP = 0x86,
  IOMMUFD_CMD_OPTION = 0x87,
  IOMMUFD_CMD_VFIO_IOAS = 0x88,
  IOMMUFD_CMD_HWPT_ALLOC = 0x89,
  IOMMUFD_CMD_GET_HW_INFO = 0x8a,
  IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING = 0x8b,
  IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP = 0x8c,
  IOMMUFD_CMD_HWPT_INVALIDATE = 0x8d,
  IOMMUFD_CMD_FAULT_QUEUE_ALLOC = 0x8e,
  IOMMUFD_CMD_IOAS_MAP_FILE = 0x8f,
  IOMMUFD_CMD_VIOMMU_ALLOC = 0x90,
  IOMMUFD_CMD_VDEVICE_ALLOC = 0x91,
  IOMMUFD_CMD_IOAS_CHANGE_PROCESS = 0x92,
  IOMMUFD_CMD_VEVENTQ_ALLOC = 0x93,
  IOMMUFD_CMD_HW_QUEUE_ALLOC = 0x94,
  IOMMUFD_CMD_IOAS_NOIOMMU_GET_PA = 0x95
};

#define IOMMU_DESTROY _IO(IOMMUFD_TYPE, 0x80)
#define IOMMU_IOAS_ALLOC _IO(IOMMUFD_TYPE, 0x81)
#define IOMMU_IOAS_ALLOW_IOVAS _IO(IOMMUFD_TYPE, 0x82)
#define IOMMU_IOAS_COPY _IO(IOMMUFD_TYPE, 0x83)
#define IOMMU_IOAS_IOVA_RANGES _IO(IOMMUFD_TYPE, 0x84)
#define IOMMU_IOAS_MAP _IO(IOMMUFD_TYPE, 0x85)
#define IOMMU_IOAS_UNMAP _IO(IOMMUFD_TYPE, 0x86)
#define IOMMU_OPTION _IO(IOMMUFD_TYPE, 0x87)
#define IOMMU_VFIO_IOAS _IO(IOMMUFD_TYPE, 0x88)
#define IOMMU_HWPT_ALLOC _IO(IOMMUFD_TYPE, 0x89)
#define IOMMU_GET_HW_INFO _IO(IOMMUFD_TYPE, 0x8a)
#define IOMMU_HWPT_SET_DIRTY_TRACKING _IO(IOMMUFD_TYPE, 0x8b)
#define IOMMU_HWPT_GET_DIRTY_BITMAP _IO(IOMMUFD_TYPE, 0x8c)
#define IOMMU_HWPT_INVALIDATE _IO(IOMMUFD_TYPE, 0x8d)
#define IOMMU_FAULT_QUEUE_ALLOC _IO(IOMMUFD_TYPE, 0x8e)
#define IOMMU_IOAS_MAP_FILE _IO(IOMMUFD_TYPE, 0x8f)
#define IOMMU_VIOMMU_ALLOC _IO(IOMMUFD_TYPE, 0x90)
#define IOMMU_VDEVICE_ALLOC _IO(IOMMUFD_TYPE, 0x91)
#define IOMMU_IOAS_CHANGE_PROCESS _IO(IOMMUFD_TYPE, 0x92)
#define IOMMU_VEVENTQ_ALLOC _IO(IOMMUFD_TYPE, 0x93)
#define IOMMU_HW_QUEUE_ALLOC _IO(IOMMUFD_TYPE, 0x94)
#define IOMMU_IOAS_NOIOMMU_GET_PA _IO(IOMMUFD_TYPE, 0x95)

/* Any object, by its id. */
struct iommu_destroy {
  __u32 size;
  __u32 id;
};

/* ---- I/O address spaces ---- */

struct iommu_ioas_alloc {
  __u32 size;
  __u32 flags; /* 0 */
  __u32 out_ioas_id;
};

struct iommu_iova_range {
  __aligned_u64 start;
  __aligned_u64 last; /* inclusive */
};

struct iommu_ioas_iova_ranges {
  __u32 size;
  __u32 ioas_id;
  __u32 num_iovas; /* in: room in the array; out: ranges there are */
  __u32 __reserved;
  __aligned_u64 allowed_iovas; /* pointer to iommu_iova_range[] */
  __aligned_u64 out_iova_alignment;
};

struct iommu_ioas_allow_iovas {
  __u32 size;
  __u32 ioas_id;
  __u32 num_iovas;
  __u32 __reserved;
  __aligned_u64 allowed_iovas;
};

enum iommufd_ioas_map_flags {
  IOMMU_IOAS_MAP_FIXED_IOVA = 1 << 0,
  IOMMU_IOAS_MAP_WRITEABLE = 1 << 1,
  IOMMU_IOAS_MAP_READABLE = 1 << 2
};

struct iommu_ioas_map {
  __u32 size;
  __u32 flags;
  __u32 ioas_id;
  __u32 __reserved;
  __aligned_u64 user_va;
  __aligned_u64 length;
  __aligned_u64 iova; /* in with FIXED_IOVA, else out */
};

struct iommu_ioas_map_file {
  __u32 size;
  __u32 flags;
  __u32 ioas_id;
  __s32 fd; /* a memfd or a dma-buf */
  __aligned_u64 start;
  __aligned_u64 length;
  __aligned_u64 iova;
};

struct iommu_ioas_copy {
  __u32 size;
  __u32 flags;
  __u32 dst_ioas_id;
  __u32 src_ioas_id;
  __aligned_u64 length;
  __aligned_u64 dst_iova;
  __aligned_u64 src_iova;
};

struct iommu_ioas_unmap {
  __u32 size;
  __u32 ioas_id;
  __aligned_u64 iova;
  __aligned_u64 length; /* out: bytes unmapped */
};

struct iommu_ioas_noiommu_get_pa {
  __u32 size;
  __u32 flags;
  __u32 ioas_id;
  __u32 __reserved;
  __aligned_u64 iova;
  __aligned_u64 length;
  __aligned_u64 out_phys;
};

struct iommu_ioas_change_process {
  __u32 size;
  __u32 __reserved;
};

enum iommufd_option { IOMMU_OPTION_RLIMIT_MODE = 0, IOMMU_OPTION_HUGE_PAGES = 1 };
enum iommufd_option_ops { IOMMU_OPTION_OP_SET = 0, IOMMU_OPTION_OP_GET = 1 };

struct iommu_option {
  __u32 size;
  __u32 option_id;
  __u16 op;
  __u16 __reserved;
  __u32 object_id;
  __aligned_u64 val64;
};

enum iommufd_vfio_ioas_op {
  IOMMU_VFIO_IOAS_GET = 0,
  IOMMU_VFIO_IOAS_SET = 1,
  IOMMU_VFIO_IOAS_CLEAR = 2
};

struct iommu_vfio_ioas {
  __u32 size;
  __u32 ioas_id;
  __u16 op;
  __u16 __reserved;
};

/* ---- what the hardware is ---- */

enum iommu_hw_info_type {
  IOMMU_HW_INFO_TYPE_NONE = 0,
  IOMMU_HW_INFO_TYPE_DEFAULT = 0,
  IOMMU_HW_INFO_TYPE_INTEL_VTD = 1,
  IOMMU_HW_INFO_TYPE_ARM_SMMUV3 = 2,
  IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV = 3,
  IOMMU_HW_INFO_TYPE_AMD = 4
};

enum iommufd_hw_capabilities {
  IOMMU_HW_CAP_DIRTY_TRACKING = 1 << 0,
  IOMMU_HW_CAP_PCI_PASID_EXEC = 1 << 1,
  IOMMU_HW_CAP_PCI_PASID_PRIV = 1 << 2,
  IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED = 1 << 3
};

enum iommufd_hw_info_flags { IOMMU_HW_INFO_FLAG_INPUT_TYPE = 1 << 0 };
enum iommu_hw_info_vtd_flags { IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 = 1 << 0 };
enum iommu_hw_info_arm_smmuv3_flags { IOMMU_HW_INFO_ARM_SMMUV3_ERRATA_REPEAT_TLBI_CFGI = 1 << 0 };

struct iommu_hw_info {
  __u32 size;
  __u32 flags;
  __u32 dev_id;
  __u32 data_len; /* in: room at data_uptr; out: bytes the kernel has */
  __aligned_u64 data_uptr;
  union {
    __u32 in_data_type;
    __u32 out_data_type;
  };
  __u8 out_max_pasid_log2;
  __u8 __reserved[3];
  __aligned_u64 out_capabilities;
};

struct iommu_hw_info_vtd {
  __u32 flags;
  __u32 __reserved;
  __aligned_u64 cap_reg;
  __aligned_u64 ecap_reg;
};

struct iommu_hw_info_arm_smmuv3 {
  __u32 flags;
  __u32 __reserved;
  __u32 idr[6];
  __u32 iidr;
  __u32 aidr;
};

struct iommu_hw_info_tegra241_cmdqv {
  __u32 flags;
  __u8 version;
  __u8 log2vcmdqs;
  __u8 log2vsids;
  __u8 __reserved;
};

struct iommu_hw_info_amd {
  __aligned_u64 efr;
  __aligned_u64 efr2;
};

#include "iommufd_objects.h"

#endif
