#pragma once

#include "abi/iommufd.h"
#include "abi/iommufd_test.h"
#include "entry/argument.h"

namespace teeio::entry::iommufd_arguments {

/// Arguments of /dev/iommu's ioctls, for their rows.

inline constexpr Word kMapFlags[] = {TEEIO_WORD(IOMMU_IOAS_MAP_FIXED_IOVA),
                                     TEEIO_WORD(IOMMU_IOAS_MAP_WRITEABLE),
                                     TEEIO_WORD(IOMMU_IOAS_MAP_READABLE)};
inline constexpr Word kOptions[] = {TEEIO_WORD(IOMMU_OPTION_RLIMIT_MODE),
                                    TEEIO_WORD(IOMMU_OPTION_HUGE_PAGES)};
inline constexpr Word kOptionOps[] = {TEEIO_WORD(IOMMU_OPTION_OP_SET),
                                      TEEIO_WORD(IOMMU_OPTION_OP_GET)};
inline constexpr Word kVfioIoasOps[] = {TEEIO_WORD(IOMMU_VFIO_IOAS_GET),
                                        TEEIO_WORD(IOMMU_VFIO_IOAS_SET),
                                        TEEIO_WORD(IOMMU_VFIO_IOAS_CLEAR)};
inline constexpr Word kHwInfoFlags[] = {TEEIO_WORD(IOMMU_HW_INFO_FLAG_INPUT_TYPE)};
inline constexpr Word kHwptFlags[] = {
    TEEIO_WORD(IOMMU_HWPT_ALLOC_NEST_PARENT), TEEIO_WORD(IOMMU_HWPT_ALLOC_DIRTY_TRACKING),
    TEEIO_WORD(IOMMU_HWPT_FAULT_ID_VALID), TEEIO_WORD(IOMMU_HWPT_ALLOC_PASID)};
inline constexpr Word kDirtyFlags[] = {TEEIO_WORD(IOMMU_HWPT_DIRTY_TRACKING_ENABLE)};
inline constexpr Word kBitmapFlags[] = {TEEIO_WORD(IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR)};
inline constexpr Word kHwCapabilities[] = {
    TEEIO_WORD(IOMMU_HW_CAP_DIRTY_TRACKING), TEEIO_WORD(IOMMU_HW_CAP_PCI_PASID_EXEC),
    TEEIO_WORD(IOMMU_HW_CAP_PCI_PASID_PRIV), TEEIO_WORD(IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED)};
inline constexpr Word kTsmOps[] = {TEEIO_WORD(IOMMU_VDEVICE_TSM_BIND),
                                   TEEIO_WORD(IOMMU_VDEVICE_TSM_UNBIND)};
inline constexpr Word kTestOps[] = {TEEIO_WORD(IOMMU_TEST_OP_ADD_RESERVED),
                                    TEEIO_WORD(IOMMU_TEST_OP_MOCK_DOMAIN),
                                    TEEIO_WORD(IOMMU_TEST_OP_MD_CHECK_MAP),
                                    TEEIO_WORD(IOMMU_TEST_OP_MD_CHECK_REFS),
                                    TEEIO_WORD(IOMMU_TEST_OP_CREATE_ACCESS),
                                    TEEIO_WORD(IOMMU_TEST_OP_DESTROY_ACCESS_PAGES),
                                    TEEIO_WORD(IOMMU_TEST_OP_ACCESS_PAGES),
                                    TEEIO_WORD(IOMMU_TEST_OP_ACCESS_RW),
                                    TEEIO_WORD(IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT),
                                    TEEIO_WORD(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE),
                                    TEEIO_WORD(IOMMU_TEST_OP_ACCESS_REPLACE_IOAS),
                                    TEEIO_WORD(IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS),
                                    TEEIO_WORD(IOMMU_TEST_OP_DIRTY),
                                    TEEIO_WORD(IOMMU_TEST_OP_MD_CHECK_IOTLB),
                                    TEEIO_WORD(IOMMU_TEST_OP_TRIGGER_IOPF),
                                    TEEIO_WORD(IOMMU_TEST_OP_DEV_CHECK_CACHE),
                                    TEEIO_WORD(IOMMU_TEST_OP_TRIGGER_VEVENT),
                                    TEEIO_WORD(IOMMU_TEST_OP_PASID_ATTACH),
                                    TEEIO_WORD(IOMMU_TEST_OP_PASID_REPLACE),
                                    TEEIO_WORD(IOMMU_TEST_OP_PASID_DETACH),
                                    TEEIO_WORD(IOMMU_TEST_OP_PASID_CHECK_HWPT),
                                    TEEIO_WORD(IOMMU_TEST_OP_DMABUF_GET),
                                    TEEIO_WORD(IOMMU_TEST_OP_DMABUF_REVOKE)};

inline constexpr Field kDestroy[] = {TEEIO_FIELD(iommu_destroy, id, kNumber)};
inline constexpr Field kIoasAlloc[] = {TEEIO_FIELD(iommu_ioas_alloc, flags, kHex),
                                       TEEIO_FIELD(iommu_ioas_alloc, out_ioas_id, kNumber)};
inline constexpr Field kIovaRanges[] = {
    TEEIO_FIELD(iommu_ioas_iova_ranges, ioas_id, kNumber),
    TEEIO_FIELD(iommu_ioas_iova_ranges, num_iovas, kNumber),
    TEEIO_FIELD(iommu_ioas_iova_ranges, allowed_iovas, kHex),
    TEEIO_FIELD(iommu_ioas_iova_ranges, out_iova_alignment, kHex)};
inline constexpr Field kAllowIovas[] = {TEEIO_FIELD(iommu_ioas_allow_iovas, ioas_id, kNumber),
                                        TEEIO_FIELD(iommu_ioas_allow_iovas, num_iovas, kNumber),
                                        TEEIO_FIELD(iommu_ioas_allow_iovas, allowed_iovas, kHex)};
inline constexpr Field kChangeProcess[] = {TEEIO_FIELD(iommu_ioas_change_process, size, kNumber)};
inline constexpr Field kNoiommuPa[] = {TEEIO_FIELD(iommu_ioas_noiommu_get_pa, flags, kHex),
                                       TEEIO_FIELD(iommu_ioas_noiommu_get_pa, ioas_id, kNumber),
                                       TEEIO_FIELD(iommu_ioas_noiommu_get_pa, iova, kHex),
                                       TEEIO_FIELD(iommu_ioas_noiommu_get_pa, length, kHex)};
inline constexpr Field kIoasMap[] = {
    TEEIO_FIELD(iommu_ioas_map, flags, kFlags, kMapFlags),
    TEEIO_FIELD(iommu_ioas_map, ioas_id, kNumber), TEEIO_FIELD(iommu_ioas_map, user_va, kHex),
    TEEIO_FIELD(iommu_ioas_map, length, kHex), TEEIO_FIELD(iommu_ioas_map, iova, kHex)};
inline constexpr Field kIoasMapFile[] = {TEEIO_FIELD(iommu_ioas_map_file, flags, kFlags, kMapFlags),
                                         TEEIO_FIELD(iommu_ioas_map_file, ioas_id, kNumber),
                                         TEEIO_FIELD(iommu_ioas_map_file, fd, kFd),
                                         TEEIO_FIELD(iommu_ioas_map_file, start, kHex),
                                         TEEIO_FIELD(iommu_ioas_map_file, length, kHex),
                                         TEEIO_FIELD(iommu_ioas_map_file, iova, kHex)};
inline constexpr Field kIoasUnmap[] = {TEEIO_FIELD(iommu_ioas_unmap, ioas_id, kNumber),
                                       TEEIO_FIELD(iommu_ioas_unmap, iova, kHex),
                                       TEEIO_FIELD(iommu_ioas_unmap, length, kHex)};
inline constexpr Field kIoasCopy[] = {TEEIO_FIELD(iommu_ioas_copy, flags, kFlags, kMapFlags),
                                      TEEIO_FIELD(iommu_ioas_copy, dst_ioas_id, kNumber),
                                      TEEIO_FIELD(iommu_ioas_copy, src_ioas_id, kNumber),
                                      TEEIO_FIELD(iommu_ioas_copy, length, kHex),
                                      TEEIO_FIELD(iommu_ioas_copy, dst_iova, kHex),
                                      TEEIO_FIELD(iommu_ioas_copy, src_iova, kHex)};
inline constexpr Field kOption[] = {TEEIO_FIELD(iommu_option, option_id, kEnum, kOptions),
                                    TEEIO_FIELD(iommu_option, op, kEnum, kOptionOps),
                                    TEEIO_FIELD(iommu_option, object_id, kNumber),
                                    TEEIO_FIELD(iommu_option, val64, kNumber)};
inline constexpr Field kVfioIoas[] = {TEEIO_FIELD(iommu_vfio_ioas, ioas_id, kNumber),
                                      TEEIO_FIELD(iommu_vfio_ioas, op, kEnum, kVfioIoasOps)};
inline constexpr Field kHwptAlloc[] = {
    TEEIO_FIELD(iommu_hwpt_alloc, flags, kFlags, kHwptFlags),
    TEEIO_FIELD(iommu_hwpt_alloc, dev_id, kNumber),
    TEEIO_FIELD(iommu_hwpt_alloc, pt_id, kNumber),
    TEEIO_FIELD(iommu_hwpt_alloc, out_hwpt_id, kNumber),
    TEEIO_FIELD(iommu_hwpt_alloc, data_type, kEnum, hwpt_data_words),
    TEEIO_FIELD(iommu_hwpt_alloc, data_len, kNumber)};
inline constexpr Field kInvalidate[] = {
    TEEIO_FIELD(iommu_hwpt_invalidate, hwpt_id, kNumber),
    TEEIO_FIELD(iommu_hwpt_invalidate, data_type, kEnum, invalidate_data_words),
    TEEIO_FIELD(iommu_hwpt_invalidate, entry_len, kNumber),
    TEEIO_FIELD(iommu_hwpt_invalidate, entry_num, kNumber)};
inline constexpr Field kSetDirty[] = {
    TEEIO_FIELD(iommu_hwpt_set_dirty_tracking, flags, kFlags, kDirtyFlags),
    TEEIO_FIELD(iommu_hwpt_set_dirty_tracking, hwpt_id, kNumber)};
inline constexpr Field kGetDirty[] = {
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, hwpt_id, kNumber),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, flags, kFlags, kBitmapFlags),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, iova, kHex),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, length, kHex),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, page_size, kHex)};
inline constexpr Field kFaultQueue[] = {TEEIO_FIELD(iommu_fault_alloc, flags, kHex),
                                        TEEIO_FIELD(iommu_fault_alloc, out_fault_id, kNumber),
                                        TEEIO_FIELD(iommu_fault_alloc, out_fault_fd, kFd)};
inline constexpr Field kVeventq[] = {
    TEEIO_FIELD(iommu_veventq_alloc, viommu_id, kNumber),
    TEEIO_FIELD(iommu_veventq_alloc, type, kEnum, veventq_type_words),
    TEEIO_FIELD(iommu_veventq_alloc, veventq_depth, kNumber)};
inline constexpr Field kHwQueue[] = {
    TEEIO_FIELD(iommu_hw_queue_alloc, viommu_id, kNumber),
    TEEIO_FIELD(iommu_hw_queue_alloc, type, kEnum, hw_queue_type_words),
    TEEIO_FIELD(iommu_hw_queue_alloc, nesting_parent_iova, kHex),
    TEEIO_FIELD(iommu_hw_queue_alloc, length, kHex)};
inline constexpr Field kHwInfo[] = {
    TEEIO_FIELD(iommu_hw_info, flags, kFlags, kHwInfoFlags),
    TEEIO_FIELD(iommu_hw_info, dev_id, kNumber), TEEIO_FIELD(iommu_hw_info, data_len, kNumber),
    TEEIO_FIELD(iommu_hw_info, out_data_type, kEnum, hw_info_type_words),
    TEEIO_FIELD(iommu_hw_info, out_capabilities, kFlags, kHwCapabilities)};
inline constexpr Field kViommuAlloc[] = {
    TEEIO_FIELD(iommu_viommu_alloc, flags, kHex),
    TEEIO_FIELD(iommu_viommu_alloc, type, kViommu, viommu_type_words),
    TEEIO_FIELD(iommu_viommu_alloc, dev_id, kNumber),
    TEEIO_FIELD(iommu_viommu_alloc, hwpt_id, kNumber),
    TEEIO_FIELD(iommu_viommu_alloc, out_viommu_id, kNumber)};
inline constexpr Field kVdeviceAlloc[] = {TEEIO_FIELD(iommu_vdevice_alloc, viommu_id, kNumber),
                                          TEEIO_FIELD(iommu_vdevice_alloc, dev_id, kNumber),
                                          TEEIO_FIELD(iommu_vdevice_alloc, out_vdevice_id, kNumber),
                                          TEEIO_FIELD(iommu_vdevice_alloc, virt_id, kHex)};
inline constexpr Field kTsmOp[] = {TEEIO_FIELD(iommu_vdevice_tsm_op, type, kEnum, kTsmOps),
                                   TEEIO_FIELD(iommu_vdevice_tsm_op, flags, kHex),
                                   TEEIO_FIELD(iommu_vdevice_tsm_op, vdevice_id, kNumber)};
inline constexpr Field kTsmReq[] = {
    TEEIO_FIELD(iommu_vdevice_tsm_req, vdevice_id, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_req, op, kRequest, guest_request_words),
    TEEIO_FIELD(iommu_vdevice_tsm_req, tvm_arch, kEnum, tvm_arch_words),
    TEEIO_FIELD(iommu_vdevice_tsm_req, req_len, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_req, resp_len, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_req, tsm_code, kCode)};
inline constexpr Field kGuestRequest[] = {
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, vdevice_id, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, type, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, req_len, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, resp_len, kNumber)};
inline constexpr Field kTest[] = {TEEIO_FIELD(iommu_test_cmd, op, kEnum, kTestOps),
                                  TEEIO_FIELD(iommu_test_cmd, id, kNumber)};

}  // namespace teeio::entry::iommufd_arguments
