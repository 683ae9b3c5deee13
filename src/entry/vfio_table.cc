#include "abi/proposed.h"
#include "abi/vfio.h"
#include "entry/vfio_arguments.h"
#include "entry/vfio_handlers.h"

namespace teeio::entry {
namespace {

using namespace vfio_arguments;

constexpr Row kRows[] = {
    {VFIO_DEVICE_BIND_IOMMUFD,
     "VFIO_DEVICE_BIND_IOMMUFD",
     ioctl_bind_iommufd,
     kBind,
     Support::kComplete,
     {},
     nullptr,
     Row::When::kAlways},
    {VFIO_DEVICE_ATTACH_IOMMUFD_PT, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", ioctl_attach_pt, kAttach},
    {VFIO_DEVICE_DETACH_IOMMUFD_PT, "VFIO_DEVICE_DETACH_IOMMUFD_PT", ioctl_detach_pt, kDetach},
    {VFIO_DEVICE_GET_INFO, "VFIO_DEVICE_GET_INFO", ioctl_device_info, kDeviceInfo},
    {VFIO_DEVICE_GET_REGION_INFO, "VFIO_DEVICE_GET_REGION_INFO", ioctl_region_info, kRegionInfo},
    {VFIO_DEVICE_GET_IRQ_INFO, "VFIO_DEVICE_GET_IRQ_INFO", ioctl_irq_info, kIrqInfo},
    {VFIO_DEVICE_SET_IRQS, "VFIO_DEVICE_SET_IRQS", ioctl_set_irqs, kIrqSet},
    {VFIO_DEVICE_RESET, "VFIO_DEVICE_RESET", ioctl_device_reset, kPlain},
    {VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", ioctl_hot_reset_info,
     kResetInfo},
    {VFIO_DEVICE_PCI_HOT_RESET, "VFIO_DEVICE_PCI_HOT_RESET", ioctl_hot_reset, kHotReset},
    {VFIO_DEVICE_FEATURE, "VFIO_DEVICE_FEATURE", ioctl_device_feature, kFeature, Support::kPartial,
     "DMA_BUF, PCI_VF_TOKEN, LOW_POWER_ENTRY, LOW_POWER_ENTRY_WITH_WAKEUP, LOW_POWER_EXIT, and "
     "probing"},
    {VFIO_DEVICE_IOEVENTFD, "VFIO_DEVICE_IOEVENTFD", ioctl_vfio_ioeventfd, kVfioIoeventfd},
    {VFIO_DEVICE_TSM_BIND,
     "VFIO_DEVICE_TSM_BIND",
     ioctl_tsm_bind,
     kTsmBind,
     Support::kComplete,
     {},
     &abi::ProposedAbi::vfio_tsm_bind},
    {VFIO_DEVICE_TSM_UNBIND,
     "VFIO_DEVICE_TSM_UNBIND",
     ioctl_tsm_unbind,
     kTsmUnbind,
     Support::kComplete,
     {},
     &abi::ProposedAbi::vfio_tsm_unbind},
};

constexpr Row kGroup[] = {
    {VFIO_GROUP_GET_STATUS, "VFIO_GROUP_GET_STATUS", ioctl_group_get_status, kGroupStatus},
    {VFIO_GROUP_SET_CONTAINER, "VFIO_GROUP_SET_CONTAINER", ioctl_group_set_container,
     kSetContainer},
    {VFIO_GROUP_UNSET_CONTAINER, "VFIO_GROUP_UNSET_CONTAINER", ioctl_group_unset_container, kPlain},
    {VFIO_GROUP_GET_DEVICE_FD, "VFIO_GROUP_GET_DEVICE_FD", ioctl_group_get_device_fd, kPlain},
};

constexpr Row kContainer[] = {
    {VFIO_GET_API_VERSION,
     "VFIO_GET_API_VERSION",
     ioctl_container_get_api_version,
     kPlain,
     Support::kComplete,
     {},
     nullptr,
     Row::When::kAlways},
    {VFIO_CHECK_EXTENSION,
     "VFIO_CHECK_EXTENSION",
     ioctl_container_check_extension,
     one_of(kExtensions),
     Support::kComplete,
     {},
     nullptr,
     Row::When::kAlways},
    {VFIO_SET_IOMMU,
     "VFIO_SET_IOMMU",
     ioctl_container_set_iommu,
     one_of(kContainers),
     Support::kComplete,
     {},
     nullptr,
     Row::When::kAlways},
    {VFIO_IOMMU_GET_INFO, "VFIO_IOMMU_GET_INFO", ioctl_type1_get_info, kTypeInfo},
    {VFIO_IOMMU_MAP_DMA, "VFIO_IOMMU_MAP_DMA", ioctl_type1_map_dma, kDmaMap},
    {VFIO_IOMMU_UNMAP_DMA, "VFIO_IOMMU_UNMAP_DMA", ioctl_type1_unmap_dma, kDmaUnmap},
    {VFIO_IOMMU_DIRTY_PAGES, "VFIO_IOMMU_DIRTY_PAGES", ioctl_type1_dirty_pages, kDirtyPages},
};

static_assert(structs_are_laid_out(kRows) && structs_are_laid_out(kGroup) &&
              structs_are_laid_out(kContainer));

}  // namespace

std::span<const Row> vfio_rows() { return kRows; }
std::span<const Row> vfio_group_rows() { return kGroup; }
std::span<const Row> vfio_container_rows() { return kContainer; }

}  // namespace teeio::entry
