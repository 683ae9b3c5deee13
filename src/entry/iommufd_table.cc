#include "abi/iommufd.h"
#include "abi/iommufd_test.h"
#include "abi/proposed.h"
#include "abi/vfio.h"
#include "entry/iommufd_arguments.h"
#include "entry/iommufd_handlers.h"
#include "entry/vfio_arguments.h"

namespace teeio::entry {
namespace {

using namespace iommufd_arguments;

constexpr Row kRows[] = {
    {IOMMU_DESTROY, "IOMMU_DESTROY", ioctl_destroy, kDestroy},
    {IOMMU_IOAS_ALLOC, "IOMMU_IOAS_ALLOC", ioctl_ioas_alloc, kIoasAlloc},
    {IOMMU_IOAS_ALLOW_IOVAS, "IOMMU_IOAS_ALLOW_IOVAS", ioctl_ioas_allow_iovas, kAllowIovas},
    {IOMMU_IOAS_COPY, "IOMMU_IOAS_COPY", ioctl_ioas_copy, kIoasCopy},
    {IOMMU_IOAS_IOVA_RANGES, "IOMMU_IOAS_IOVA_RANGES", ioctl_ioas_iova_ranges, kIovaRanges},
    {IOMMU_IOAS_MAP, "IOMMU_IOAS_MAP", ioctl_ioas_map, kIoasMap, Support::kPartial,
     "anonymous memory is reached in the program, not pinned: it is gone after munmap"},
    {IOMMU_IOAS_MAP_FILE, "IOMMU_IOAS_MAP_FILE", ioctl_ioas_map_file, kIoasMapFile},
    {IOMMU_IOAS_UNMAP, "IOMMU_IOAS_UNMAP", ioctl_ioas_unmap, kIoasUnmap},
    {IOMMU_IOAS_CHANGE_PROCESS, "IOMMU_IOAS_CHANGE_PROCESS", ioctl_ioas_change_process,
     kChangeProcess},
    {IOMMU_IOAS_NOIOMMU_GET_PA, "IOMMU_IOAS_NOIOMMU_GET_PA", ioctl_ioas_noiommu_get_pa, kNoiommuPa,
     Support::kRefused, "as a kernel without CONFIG_VFIO_NOIOMMU"},
    {IOMMU_OPTION, "IOMMU_OPTION", ioctl_iommu_option, kOption},
    {IOMMU_HWPT_ALLOC, "IOMMU_HWPT_ALLOC", ioctl_hwpt_alloc, kHwptAlloc, Support::kPartial,
     "nested, dirty-tracking and PASID ones where the machine's IOMMU has them, which GET_HW_INFO "
     "says; no function of a card asks for pages"},
    {IOMMU_HWPT_INVALIDATE, "IOMMU_HWPT_INVALIDATE", ioctl_hwpt_invalidate, kInvalidate,
     Support::kPartial, "nested HWPTs; of vIOMMUs the mock IOMMU's only"},
    {IOMMU_HWPT_SET_DIRTY_TRACKING, "IOMMU_HWPT_SET_DIRTY_TRACKING", ioctl_hwpt_set_dirty_tracking,
     kSetDirty},
    {IOMMU_HWPT_GET_DIRTY_BITMAP, "IOMMU_HWPT_GET_DIRTY_BITMAP", ioctl_hwpt_get_dirty_bitmap,
     kGetDirty},
    {IOMMU_FAULT_QUEUE_ALLOC, "IOMMU_FAULT_QUEUE_ALLOC", ioctl_fault_queue_alloc, kFaultQueue},
    {IOMMU_VEVENTQ_ALLOC, "IOMMU_VEVENTQ_ALLOC", ioctl_veventq_alloc, kVeventq, Support::kPartial,
     "vIOMMUs of the mock IOMMU only"},
    {IOMMU_HW_QUEUE_ALLOC, "IOMMU_HW_QUEUE_ALLOC", ioctl_hw_queue_alloc, kHwQueue,
     Support::kPartial, "vIOMMUs of the mock IOMMU only"},
    {IOMMU_GET_HW_INFO, "IOMMU_GET_HW_INFO", ioctl_get_hw_info, kHwInfo},
    {IOMMU_VIOMMU_ALLOC, "IOMMU_VIOMMU_ALLOC", ioctl_viommu_alloc, kViommuAlloc, Support::kPartial,
     "type TSM, and the mock IOMMU's SELFTEST"},
    {IOMMU_VDEVICE_ALLOC, "IOMMU_VDEVICE_ALLOC", ioctl_vdevice_alloc, kVdeviceAlloc},
    // Proposed: their numbers come from the machine's ABI profile.
    {IOMMU_VDEVICE_TSM_OP,
     "IOMMU_VDEVICE_TSM_OP",
     ioctl_vdevice_tsm_op,
     kTsmOp,
     Support::kComplete,
     {},
     &abi::ProposedAbi::vdevice_tsm_op},
    {IOMMU_VDEVICE_TSM_REQ, "IOMMU_VDEVICE_TSM_REQ", ioctl_vdevice_tsm_req, kTsmReq,
     Support::kPartial,
     "iommufd-v7's OBJECT_INFO is EOPNOTSUPP, and so is an object that the firmware keeps",
     &abi::ProposedAbi::vdevice_tsm_req},
    {IOMMU_VDEVICE_TSM_GUEST_REQUEST,
     "IOMMU_VDEVICE_TSM_GUEST_REQUEST",
     ioctl_vdevice_tsm_guest_request,
     kGuestRequest,
     Support::kComplete,
     {},
     &abi::ProposedAbi::vdevice_tsm_guest_request},
    {IOMMU_TEST_CMD, "IOMMU_TEST_CMD", ioctl_iommufd_test, kTest, Support::kPartial,
     "with iommufd_mock = true; ENOTTY without, as most kernels. No syzkaller flags"},
    // A type 1 container's, on the IOAS that IOMMU_VFIO_IOAS sets.
    {IOMMU_VFIO_IOAS, "IOMMU_VFIO_IOAS", ioctl_iommufd_vfio_ioas, kVfioIoas},
    {VFIO_GET_API_VERSION, "VFIO_GET_API_VERSION", ioctl_vfio_get_api_version, kPlain},
    {VFIO_CHECK_EXTENSION, "VFIO_CHECK_EXTENSION", ioctl_vfio_check_extension,
     one_of(vfio_arguments::kExtensions)},
    {VFIO_SET_IOMMU, "VFIO_SET_IOMMU", ioctl_vfio_set_iommu, one_of(vfio_arguments::kContainers)},
    {VFIO_IOMMU_GET_INFO, "VFIO_IOMMU_GET_INFO", ioctl_vfio_iommu_get_info,
     vfio_arguments::kTypeInfo},
    {VFIO_IOMMU_MAP_DMA, "VFIO_IOMMU_MAP_DMA", ioctl_vfio_iommu_map_dma, vfio_arguments::kDmaMap,
     Support::kPartial, "as IOMMU_IOAS_MAP"},
    {VFIO_IOMMU_UNMAP_DMA, "VFIO_IOMMU_UNMAP_DMA", ioctl_vfio_iommu_unmap_dma,
     vfio_arguments::kDmaUnmap},
};

static_assert(structs_are_laid_out(kRows));

}  // namespace

std::span<const Row> iommufd_rows() { return kRows; }

}  // namespace teeio::entry
