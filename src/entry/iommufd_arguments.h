#include "abi/iommufd.h"
#include "entry/argument.h"

namespace teeio::entry {
namespace {

constexpr Word kMapFlags[] = {TEEIO_WORD(IOMMU_IOAS_MAP_FIXED_IOVA),
                              TEEIO_WORD(IOMMU_IOAS_MAP_WRITEABLE),
                              TEEIO_WORD(IOMMU_IOAS_MAP_READABLE)};
constexpr Word kOptions[] = {TEEIO_WORD(IOMMU_OPTION_RLIMIT_MODE),
                             TEEIO_WORD(IOMMU_OPTION_HUGE_PAGES)};
constexpr Word kOptionOps[] = {TEEIO_WORD(IOMMU_OPTION_OP_SET), TEEIO_WORD(IOMMU_OPTION_OP_GET)};
constexpr Word kVfioIoasOps[] = {TEEIO_WORD(IOMMU_VFIO_IOAS_GET), TEEIO_WORD(IOMMU_VFIO_IOAS_SET),
                                 TEEIO_WORD(IOMMU_VFIO_IOAS_CLEAR)};
constexpr Word kHwInfoFlags[] = {TEEIO_WORD(IOMMU_HW_INFO_FLAG_INPUT_TYPE)};
constexpr Word kHwptFlags[] = {
    TEEIO_WORD(IOMMU_HWPT_ALLOC_NEST_PARENT), TEEIO_WORD(IOMMU_HWPT_ALLOC_DIRTY_TRACKING),
    TEEIO_WORD(IOMMU_HWPT_FAULT_ID_VALID), TEEIO_WORD(IOMMU_HWPT_ALLOC_PASID)};
constexpr Word kDirtyFlags[] = {TEEIO_WORD(IOMMU_HWPT_DIRTY_TRACKING_ENABLE)};
constexpr Word kBitmapFlags[] = {TEEIO_WORD(IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR)};
constexpr Word kViommuTypes[] = {TEEIO_WORD(IOMMU_VIOMMU_TYPE_DEFAULT)};
constexpr Word kTsmOps[] = {TEEIO_WORD(IOMMU_VDEVICE_TSM_BIND),
                            TEEIO_WORD(IOMMU_VDEVICE_TSM_UNBIND)};

constexpr Field kDestroy[] = {TEEIO_FIELD(iommu_destroy, id, kNumber)};
constexpr Field kIoasAlloc[] = {TEEIO_FIELD(iommu_ioas_alloc, flags, kHex),
                                TEEIO_FIELD(iommu_ioas_alloc, out_ioas_id, kNumber)};
constexpr Field kIovaRanges[] = {TEEIO_FIELD(iommu_ioas_iova_ranges, ioas_id, kNumber),
                                 TEEIO_FIELD(iommu_ioas_iova_ranges, num_iovas, kNumber),
                                 TEEIO_FIELD(iommu_ioas_iova_ranges, allowed_iovas, kHex),
                                 TEEIO_FIELD(iommu_ioas_iova_ranges, out_iova_alignment, kHex)};
constexpr Field kAllowIovas[] = {TEEIO_FIELD(iommu_ioas_allow_iovas, ioas_id, kNumber),
                                 TEEIO_FIELD(iommu_ioas_allow_iovas, num_iovas, kNumber),
                                 TEEIO_FIELD(iommu_ioas_allow_iovas, allowed_iovas, kHex)};
constexpr Field kChangeProcess[] = {TEEIO_FIELD(iommu_ioas_change_process, size, kNumber)};
constexpr Field kNoiommuPa[] = {TEEIO_FIELD(iommu_ioas_noiommu_get_pa, flags, kHex),
                                TEEIO_FIELD(iommu_ioas_noiommu_get_pa, ioas_id, kNumber),
                                TEEIO_FIELD(iommu_ioas_noiommu_get_pa, iova, kHex),
                                TEEIO_FIELD(iommu_ioas_noiommu_get_pa, length, kHex)};
constexpr Field kIoasMap[] = {
    TEEIO_FIELD(iommu_ioas_map, flags, kFlags, kMapFlags),
    TEEIO_FIELD(iommu_ioas_map, ioas_id, kNumber), TEEIO_FIELD(iommu_ioas_map, user_va, kHex),
    TEEIO_FIELD(iommu_ioas_map, length, kHex), TEEIO_FIELD(iommu_ioas_map, iova, kHex)};
constexpr Field kIoasMapFile[] = {TEEIO_FIELD(iommu_ioas_map_file, flags, kFlags, kMapFlags),
                                  TEEIO_FIELD(iommu_ioas_map_file, ioas_id, kNumber),
                                  TEEIO_FIELD(iommu_ioas_map_file, fd, kFd),
                                  TEEIO_FIELD(iommu_ioas_map_file, start, kHex),
                                  TEEIO_FIELD(iommu_ioas_map_file, length, kHex),
                                  TEEIO_FIELD(iommu_ioas_map_file, iova, kHex)};
constexpr Field kIoasUnmap[] = {TEEIO_FIELD(iommu_ioas_unmap, ioas_id, kNumber),
                                TEEIO_FIELD(iommu_ioas_unmap, iova, kHex),
                                TEEIO_FIELD(iommu_ioas_unmap, length, kHex)};
constexpr Field kIoasCopy[] = {TEEIO_FIELD(iommu_ioas_copy, flags, kFlags, kMapFlags),
                               TEEIO_FIELD(iommu_ioas_copy, dst_ioas_id, kNumber),
                               TEEIO_FIELD(iommu_ioas_copy, src_ioas_id, kNumber),
                               TEEIO_FIELD(iommu_ioas_copy, length, kHex),
                               TEEIO_FIELD(iommu_ioas_copy, dst_iova, kHex),
                               TEEIO_FIELD(iommu_ioas_copy, src_iova, kHex)};
constexpr Field kOption[] = {TEEIO_FIELD(iommu_option, option_id, kEnum, kOptions),
                             TEEIO_FIELD(iommu_option, op, kEnum, kOptionOps),
                             TEEIO_FIELD(iommu_option, object_id, kNumber),
                             TEEIO_FIELD(iommu_option, val64, kNumber)};
constexpr Field kVfioIoas[] = {TEEIO_FIELD(iommu_vfio_ioas, ioas_id, kNumber),
                               TEEIO_FIELD(iommu_vfio_ioas, op, kEnum, kVfioIoasOps)};
constexpr Field kHwptAlloc[] = {TEEIO_FIELD(iommu_hwpt_alloc, flags, kFlags, kHwptFlags),
                                TEEIO_FIELD(iommu_hwpt_alloc, dev_id, kNumber),
                                TEEIO_FIELD(iommu_hwpt_alloc, pt_id, kNumber),
                                TEEIO_FIELD(iommu_hwpt_alloc, out_hwpt_id, kNumber),
                                TEEIO_FIELD(iommu_hwpt_alloc, data_type, kNumber),
                                TEEIO_FIELD(iommu_hwpt_alloc, data_len, kNumber)};
constexpr Field kInvalidate[] = {TEEIO_FIELD(iommu_hwpt_invalidate, hwpt_id, kNumber),
                                 TEEIO_FIELD(iommu_hwpt_invalidate, data_type, kNumber),
                                 TEEIO_FIELD(iommu_hwpt_invalidate, entry_len, kNumber),
                                 TEEIO_FIELD(iommu_hwpt_invalidate, entry_num, kNumber)};
constexpr Field kSetDirty[] = {
    TEEIO_FIELD(iommu_hwpt_set_dirty_tracking, flags, kFlags, kDirtyFlags),
    TEEIO_FIELD(iommu_hwpt_set_dirty_tracking, hwpt_id, kNumber)};
constexpr Field kGetDirty[] = {
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, hwpt_id, kNumber),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, flags, kFlags, kBitmapFlags),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, iova, kHex),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, length, kHex),
    TEEIO_FIELD(iommu_hwpt_get_dirty_bitmap, page_size, kHex)};
constexpr Field kFaultQueue[] = {TEEIO_FIELD(iommu_fault_alloc, flags, kHex),
                                 TEEIO_FIELD(iommu_fault_alloc, out_fault_id, kNumber),
                                 TEEIO_FIELD(iommu_fault_alloc, out_fault_fd, kFd)};
constexpr Field kVeventq[] = {TEEIO_FIELD(iommu_veventq_alloc, viommu_id, kNumber),
                              TEEIO_FIELD(iommu_veventq_alloc, type, kNumber),
                              TEEIO_FIELD(iommu_veventq_alloc, veventq_depth, kNumber)};
constexpr Field kHwQueue[] = {TEEIO_FIELD(iommu_hw_queue_alloc, viommu_id, kNumber),
                              TEEIO_FIELD(iommu_hw_queue_alloc, type, kNumber),
                              TEEIO_FIELD(iommu_hw_queue_alloc, nesting_parent_iova, kHex),
                              TEEIO_FIELD(iommu_hw_queue_alloc, length, kHex)};
constexpr Field kHwInfo[] = {TEEIO_FIELD(iommu_hw_info, flags, kFlags, kHwInfoFlags),
                             TEEIO_FIELD(iommu_hw_info, dev_id, kNumber),
                             TEEIO_FIELD(iommu_hw_info, data_len, kNumber),
                             TEEIO_FIELD(iommu_hw_info, out_data_type, kNumber)};
constexpr Field kViommuAlloc[] = {TEEIO_FIELD(iommu_viommu_alloc, flags, kHex),
                                  TEEIO_FIELD(iommu_viommu_alloc, type, kViommu, kViommuTypes),
                                  TEEIO_FIELD(iommu_viommu_alloc, dev_id, kNumber),
                                  TEEIO_FIELD(iommu_viommu_alloc, hwpt_id, kNumber),
                                  TEEIO_FIELD(iommu_viommu_alloc, out_viommu_id, kNumber)};
constexpr Field kVdeviceAlloc[] = {TEEIO_FIELD(iommu_vdevice_alloc, viommu_id, kNumber),
                                   TEEIO_FIELD(iommu_vdevice_alloc, dev_id, kNumber),
                                   TEEIO_FIELD(iommu_vdevice_alloc, out_vdevice_id, kNumber),
                                   TEEIO_FIELD(iommu_vdevice_alloc, virt_id, kHex)};
constexpr Field kTsmOp[] = {TEEIO_FIELD(iommu_vdevice_tsm_op, type, kEnum, kTsmOps),
                            TEEIO_FIELD(iommu_vdevice_tsm_op, flags, kHex),
                            TEEIO_FIELD(iommu_vdevice_tsm_op, vdevice_id, kNumber)};
const Field kTsmReq[] = {TEEIO_FIELD(iommu_vdevice_tsm_req, vdevice_id, kNumber),
                         TEEIO_FIELD(iommu_vdevice_tsm_req, op, kEnum, guest_request_words()),
                         TEEIO_FIELD(iommu_vdevice_tsm_req, tvm_arch, kEnum, tvm_arch_words()),
                         TEEIO_FIELD(iommu_vdevice_tsm_req, req_len, kNumber),
                         TEEIO_FIELD(iommu_vdevice_tsm_req, resp_len, kNumber),
                         TEEIO_FIELD(iommu_vdevice_tsm_req, tsm_code, kCode)};
constexpr Field kGuestRequest[] = {
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, vdevice_id, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, type, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, req_len, kNumber),
    TEEIO_FIELD(iommu_vdevice_tsm_guest_request, resp_len, kNumber)};

}  // namespace

std::span<const Layout> iommufd_layouts() {
  static const Layout kLayouts[] = {
      {"IOMMU_DESTROY", kDestroy},
      {"IOMMU_IOAS_ALLOC", kIoasAlloc},
      {"IOMMU_IOAS_ALLOW_IOVAS", kAllowIovas},
      {"IOMMU_IOAS_CHANGE_PROCESS", kChangeProcess},
      {"IOMMU_IOAS_NOIOMMU_GET_PA", kNoiommuPa},
      {"IOMMU_IOAS_IOVA_RANGES", kIovaRanges},
      {"IOMMU_IOAS_MAP", kIoasMap},
      {"IOMMU_IOAS_MAP_FILE", kIoasMapFile},
      {"IOMMU_IOAS_UNMAP", kIoasUnmap},
      {"IOMMU_IOAS_COPY", kIoasCopy},
      {"IOMMU_OPTION", kOption},
      {"IOMMU_VFIO_IOAS", kVfioIoas},
      {"IOMMU_HWPT_ALLOC", kHwptAlloc},
      {"IOMMU_HWPT_INVALIDATE", kInvalidate},
      {"IOMMU_HWPT_SET_DIRTY_TRACKING", kSetDirty},
      {"IOMMU_HWPT_GET_DIRTY_BITMAP", kGetDirty},
      {"IOMMU_FAULT_QUEUE_ALLOC", kFaultQueue},
      {"IOMMU_VEVENTQ_ALLOC", kVeventq},
      {"IOMMU_HW_QUEUE_ALLOC", kHwQueue},
      {"IOMMU_GET_HW_INFO", kHwInfo},
      {"IOMMU_VIOMMU_ALLOC", kViommuAlloc},
      {"IOMMU_VDEVICE_ALLOC", kVdeviceAlloc},
      {"IOMMU_VDEVICE_TSM_OP", kTsmOp},
      {"IOMMU_VDEVICE_TSM_REQ", kTsmReq},
      {"IOMMU_VDEVICE_TSM_GUEST_REQUEST", kGuestRequest},
  };
  return kLayouts;
}

}  // namespace teeio::entry
