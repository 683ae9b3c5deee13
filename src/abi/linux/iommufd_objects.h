/* Page tables, faults, virtual IOMMUs and queues of the iommufd uAPI, for C and C++;
 * <linux/iommufd.h> includes it.
 *
 * Source of every fact here: Linux include/uapi/linux/iommufd.h, 7.3.
 */
#ifndef TEEIO_ABI_LINUX_IOMMUFD_OBJECTS_H
#define TEEIO_ABI_LINUX_IOMMUFD_OBJECTS_H

#include <linux/types.h>

#pragma GCC system_header

/* ---- hardware page tables ---- */

enum iommufd_hwpt_alloc_flags {
  IOMMU_HWPT_ALLOC_NEST_PARENT = 1 << 0,
  IOMMU_HWPT_ALLOC_DIRTY_TRACKING = 1 << 1,
  IOMMU_HWPT_FAULT_ID_VALID = 1 << 2,
  IOMMU_HWPT_ALLOC_PASID = 1 << 3
};

enum iommu_hwpt_data_type {
  IOMMU_HWPT_DATA_NONE = 0,
  IOMMU_HWPT_DATA_VTD_S1 = 1,
  IOMMU_HWPT_DATA_ARM_SMMUV3 = 2,
  IOMMU_HWPT_DATA_AMD_GUEST = 3
};

struct iommu_hwpt_alloc {
  __u32 size;
  __u32 flags;
  __u32 dev_id;
  __u32 pt_id; /* an IOAS, a parent HWPT or a vIOMMU */
  __u32 out_hwpt_id;
  __u32 __reserved;
  __u32 data_type;
  __u32 data_len;
  __aligned_u64 data_uptr;
  __u32 fault_id;
  __u32 __reserved2;
};

enum iommu_hwpt_vtd_s1_flags {
  IOMMU_VTD_S1_SRE = 1 << 0,
  IOMMU_VTD_S1_EAFE = 1 << 1,
  IOMMU_VTD_S1_WPE = 1 << 2
};

struct iommu_hwpt_vtd_s1 {
  __aligned_u64 flags;
  __aligned_u64 pgtbl_addr;
  __u32 addr_width;
  __u32 __reserved;
};

struct iommu_hwpt_arm_smmuv3 {
  __aligned_le64 ste[2];
};

struct iommu_hwpt_amd_guest {
  __aligned_u64 dte[4];
};

enum iommufd_hwpt_set_dirty_tracking_flags { IOMMU_HWPT_DIRTY_TRACKING_ENABLE = 1 };

struct iommu_hwpt_set_dirty_tracking {
  __u32 size;
  __u32 flags;
  __u32 hwpt_id;
  __u32 __reserved;
};

enum iommufd_hwpt_get_dirty_bitmap_flags { IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR = 1 };

struct iommu_hwpt_get_dirty_bitmap {
  __u32 size;
  __u32 hwpt_id;
  __u32 flags;
  __u32 __reserved;
  __aligned_u64 iova;
  __aligned_u64 length;
  __aligned_u64 page_size;
  __aligned_u64 data;
};

enum iommu_hwpt_invalidate_data_type {
  IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 = 0,
  IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 = 1
};
enum iommu_hwpt_vtd_s1_invalidate_flags { IOMMU_VTD_INV_FLAGS_LEAF = 1 << 0 };

struct iommu_hwpt_invalidate {
  __u32 size;
  __u32 hwpt_id;
  __aligned_u64 data_uptr;
  __u32 data_type;
  __u32 entry_len;
  __u32 entry_num; /* out: entries handled */
  __u32 __reserved;
};

struct iommu_hwpt_vtd_s1_invalidate {
  __aligned_u64 addr;
  __aligned_u64 npages;
  __u32 flags;
  __u32 __reserved;
};

struct iommu_viommu_arm_smmuv3_invalidate {
  __aligned_le64 cmd[2];
};

/* ---- I/O page faults ---- */

struct iommu_fault_alloc {
  __u32 size;
  __u32 flags;
  __u32 out_fault_id;
  __u32 out_fault_fd;
};

enum iommu_hwpt_pgfault_flags {
  IOMMU_PGFAULT_FLAGS_PASID_VALID = 1 << 0,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE = 1 << 1
};

enum iommu_hwpt_pgfault_perm {
  IOMMU_PGFAULT_PERM_READ = 1 << 0,
  IOMMU_PGFAULT_PERM_WRITE = 1 << 1,
  IOMMU_PGFAULT_PERM_EXEC = 1 << 2,
  IOMMU_PGFAULT_PERM_PRIV = 1 << 3
};

struct iommu_hwpt_pgfault {
  __u32 flags;
  __u32 dev_id;
  __u32 pasid;
  __u32 grpid;
  __u32 perm;
  __u32 __reserved;
  __aligned_u64 addr;
  __u32 length;
  __u32 cookie;
};

enum iommufd_page_response_code { IOMMUFD_PAGE_RESP_SUCCESS = 0, IOMMUFD_PAGE_RESP_INVALID = 1 };

struct iommu_hwpt_page_response {
  __u32 cookie;
  __u32 code;
};

/* ---- virtual IOMMUs, devices and queues ---- */

enum iommu_viommu_type {
  IOMMU_VIOMMU_TYPE_DEFAULT = 0,
  IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1,
  IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV = 2
};

struct iommu_viommu_alloc {
  __u32 size;
  __u32 flags; /* 0 */
  __u32 type;
  __u32 dev_id;
  __u32 hwpt_id; /* made with NEST_PARENT */
  __u32 out_viommu_id;
  __u32 data_len;
  __u32 __reserved;
  __aligned_u64 data_uptr;
};

struct iommu_viommu_tegra241_cmdqv {
  __aligned_u64 out_vintf_mmap_offset;
  __aligned_u64 out_vintf_mmap_length;
};

struct iommu_vdevice_alloc {
  __u32 size;
  __u32 viommu_id;
  __u32 dev_id;
  __u32 out_vdevice_id;
  __aligned_u64 virt_id;
};

enum iommu_veventq_flag { IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1U << 0 };

enum iommu_veventq_type {
  IOMMU_VEVENTQ_TYPE_DEFAULT = 0,
  IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1,
  IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV = 2
};

struct iommu_veventq_alloc {
  __u32 size;
  __u32 flags;
  __u32 viommu_id;
  __u32 type;
  __u32 veventq_depth;
  __u32 out_veventq_id;
  __u32 out_veventq_fd;
  __u32 __reserved;
};

struct iommufd_vevent_header {
  __u32 flags;
  __u32 sequence;
};

struct iommu_vevent_arm_smmuv3 {
  __aligned_le64 evt[4];
};

struct iommu_vevent_tegra241_cmdqv {
  __aligned_le64 lvcmdq_err_map[2];
};

enum iommu_hw_queue_type {
  IOMMU_HW_QUEUE_TYPE_DEFAULT = 0,
  IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV = 1
};

struct iommu_hw_queue_alloc {
  __u32 size;
  __u32 flags;
  __u32 viommu_id;
  __u32 type;
  __u32 index;
  __u32 out_hw_queue_id;
  __aligned_u64 nesting_parent_iova;
  __aligned_u64 length;
};

#endif
