#pragma once

#include "abi/proposed.h"
#include "abi/vfio.h"
#include "entry/argument.h"

namespace teeio::entry::vfio_arguments {

/// Arguments of VFIO's ioctls, for their rows.

inline constexpr Word kContainers[] = {TEEIO_MACRO(VFIO_TYPE1_IOMMU),
                                       TEEIO_MACRO(VFIO_TYPE1v2_IOMMU)};
inline constexpr Word kExtensions[] = {
    TEEIO_MACRO(VFIO_TYPE1_IOMMU),  TEEIO_MACRO(VFIO_TYPE1v2_IOMMU),
    TEEIO_MACRO(VFIO_DMA_CC_IOMMU), TEEIO_MACRO(VFIO_NOIOMMU_IOMMU),
    TEEIO_MACRO(VFIO_UNMAP_ALL),    TEEIO_MACRO(VFIO_UPDATE_VADDR)};
inline constexpr Word kGroupFlags[] = {TEEIO_MACRO(VFIO_GROUP_FLAGS_VIABLE),
                                       TEEIO_MACRO(VFIO_GROUP_FLAGS_CONTAINER_SET)};
inline constexpr Word kDirtyPageFlags[] = {TEEIO_MACRO(VFIO_IOMMU_DIRTY_PAGES_FLAG_START),
                                           TEEIO_MACRO(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP),
                                           TEEIO_MACRO(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)};
inline constexpr Word kInfoFlags[] = {
    TEEIO_MACRO(VFIO_DEVICE_FLAGS_RESET), TEEIO_MACRO(VFIO_DEVICE_FLAGS_PCI),
    TEEIO_MACRO(VFIO_DEVICE_FLAGS_PLATFORM), TEEIO_MACRO(VFIO_DEVICE_FLAGS_CAPS)};
inline constexpr Word kRegionFlags[] = {
    TEEIO_MACRO(VFIO_REGION_INFO_FLAG_READ), TEEIO_MACRO(VFIO_REGION_INFO_FLAG_WRITE),
    TEEIO_MACRO(VFIO_REGION_INFO_FLAG_MMAP), TEEIO_MACRO(VFIO_REGION_INFO_FLAG_CAPS)};
inline constexpr Word kRegions[] = {
    TEEIO_WORD(VFIO_PCI_BAR0_REGION_INDEX), TEEIO_WORD(VFIO_PCI_BAR1_REGION_INDEX),
    TEEIO_WORD(VFIO_PCI_BAR2_REGION_INDEX), TEEIO_WORD(VFIO_PCI_BAR3_REGION_INDEX),
    TEEIO_WORD(VFIO_PCI_BAR4_REGION_INDEX), TEEIO_WORD(VFIO_PCI_BAR5_REGION_INDEX),
    TEEIO_WORD(VFIO_PCI_ROM_REGION_INDEX),  TEEIO_WORD(VFIO_PCI_CONFIG_REGION_INDEX),
    TEEIO_WORD(VFIO_PCI_VGA_REGION_INDEX)};
inline constexpr Word kIrqFlags[] = {
    TEEIO_MACRO(VFIO_IRQ_INFO_EVENTFD), TEEIO_MACRO(VFIO_IRQ_INFO_MASKABLE),
    TEEIO_MACRO(VFIO_IRQ_INFO_AUTOMASKED), TEEIO_MACRO(VFIO_IRQ_INFO_NORESIZE)};
inline constexpr Word kIrqs[] = {
    TEEIO_WORD(VFIO_PCI_INTX_IRQ_INDEX), TEEIO_WORD(VFIO_PCI_MSI_IRQ_INDEX),
    TEEIO_WORD(VFIO_PCI_MSIX_IRQ_INDEX), TEEIO_WORD(VFIO_PCI_ERR_IRQ_INDEX),
    TEEIO_WORD(VFIO_PCI_REQ_IRQ_INDEX)};
inline constexpr Word kIrqSetFlags[] = {
    TEEIO_MACRO(VFIO_IRQ_SET_DATA_NONE),     TEEIO_MACRO(VFIO_IRQ_SET_DATA_BOOL),
    TEEIO_MACRO(VFIO_IRQ_SET_DATA_EVENTFD),  TEEIO_MACRO(VFIO_IRQ_SET_ACTION_MASK),
    TEEIO_MACRO(VFIO_IRQ_SET_ACTION_UNMASK), TEEIO_MACRO(VFIO_IRQ_SET_ACTION_TRIGGER)};
inline constexpr Word kIoeventfdFlags[] = {
    TEEIO_MACRO(VFIO_DEVICE_IOEVENTFD_8), TEEIO_MACRO(VFIO_DEVICE_IOEVENTFD_16),
    TEEIO_MACRO(VFIO_DEVICE_IOEVENTFD_32), TEEIO_MACRO(VFIO_DEVICE_IOEVENTFD_64)};
inline constexpr Word kBindFlags[] = {TEEIO_MACRO(VFIO_DEVICE_BIND_FLAG_TOKEN)};
inline constexpr Word kFeatures[] = {TEEIO_MACRO(VFIO_DEVICE_FEATURE_PCI_VF_TOKEN),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_MIGRATION),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_DMA_LOGGING_START),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_MIG_DATA_SIZE),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_BUS_MASTER),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_DMA_BUF),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_ZPCI_ERROR),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_GET),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_SET),
                                     TEEIO_MACRO(VFIO_DEVICE_FEATURE_PROBE)};
inline constexpr Word kTypeInfoFlags[] = {TEEIO_MACRO(VFIO_IOMMU_INFO_PGSIZES),
                                          TEEIO_MACRO(VFIO_IOMMU_INFO_CAPS)};
inline constexpr Word kDmaMapFlags[] = {TEEIO_MACRO(VFIO_DMA_MAP_FLAG_READ),
                                        TEEIO_MACRO(VFIO_DMA_MAP_FLAG_WRITE),
                                        TEEIO_MACRO(VFIO_DMA_MAP_FLAG_VADDR)};
inline constexpr Word kDmaUnmapFlags[] = {TEEIO_MACRO(VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP),
                                          TEEIO_MACRO(VFIO_DMA_UNMAP_FLAG_ALL),
                                          TEEIO_MACRO(VFIO_DMA_UNMAP_FLAG_VADDR)};

inline constexpr Word kAttachFlags[] = {TEEIO_MACRO(VFIO_DEVICE_ATTACH_PASID)};
inline constexpr Word kDetachFlags[] = {TEEIO_MACRO(VFIO_DEVICE_DETACH_PASID)};
inline constexpr Word kResetInfoFlags[] = {TEEIO_MACRO(VFIO_PCI_HOT_RESET_FLAG_DEV_ID),
                                           TEEIO_MACRO(VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED)};

inline constexpr Field kTypeInfo[] = {
    TEEIO_FIELD(vfio_iommu_type1_info, argsz, kNumber),
    TEEIO_FIELD(vfio_iommu_type1_info, flags, kFlags, kTypeInfoFlags),
    TEEIO_FIELD(vfio_iommu_type1_info, iova_pgsizes, kHex)};
inline constexpr Field kDmaMap[] = {
    TEEIO_FIELD(vfio_iommu_type1_dma_map, flags, kFlags, kDmaMapFlags),
    TEEIO_FIELD(vfio_iommu_type1_dma_map, vaddr, kHex),
    TEEIO_FIELD(vfio_iommu_type1_dma_map, iova, kHex),
    TEEIO_FIELD(vfio_iommu_type1_dma_map, size, kHex)};
inline constexpr Field kDmaUnmap[] = {
    TEEIO_FIELD(vfio_iommu_type1_dma_unmap, flags, kFlags, kDmaUnmapFlags),
    TEEIO_FIELD(vfio_iommu_type1_dma_unmap, iova, kHex),
    TEEIO_FIELD(vfio_iommu_type1_dma_unmap, size, kHex)};
inline constexpr Field kGroupStatus[] = {
    TEEIO_FIELD(vfio_group_status, argsz, kNumber),
    TEEIO_FIELD(vfio_group_status, flags, kFlags, kGroupFlags)};
/// A pointer to a descriptor.
inline constexpr Field kSetContainer[] = {
    {.name = "fd", .offset = 0, .size = 4, .form = Field::Form::kFd}};
inline constexpr Field kDirtyPages[] = {
    TEEIO_FIELD(vfio_iommu_type1_dirty_bitmap, argsz, kNumber),
    TEEIO_FIELD(vfio_iommu_type1_dirty_bitmap, flags, kFlags, kDirtyPageFlags)};
inline constexpr Field kDeviceInfo[] = {TEEIO_FIELD(vfio_device_info, argsz, kNumber),
                                        TEEIO_FIELD(vfio_device_info, flags, kFlags, kInfoFlags),
                                        TEEIO_FIELD(vfio_device_info, num_regions, kNumber),
                                        TEEIO_FIELD(vfio_device_info, num_irqs, kNumber)};
inline constexpr Field kBind[] = {TEEIO_FIELD(vfio_device_bind_iommufd, argsz, kNumber),
                                  TEEIO_FIELD(vfio_device_bind_iommufd, flags, kFlags, kBindFlags),
                                  TEEIO_FIELD(vfio_device_bind_iommufd, iommufd, kFd),
                                  TEEIO_FIELD(vfio_device_bind_iommufd, out_devid, kNumber)};
inline constexpr Field kAttach[] = {
    TEEIO_FIELD(vfio_device_attach_iommufd_pt, flags, kFlags, kAttachFlags),
    TEEIO_FIELD(vfio_device_attach_iommufd_pt, pt_id, kNumber)};
inline constexpr Field kDetach[] = {
    TEEIO_FIELD(vfio_device_detach_iommufd_pt, argsz, kNumber),
    TEEIO_FIELD(vfio_device_detach_iommufd_pt, flags, kFlags, kDetachFlags)};
inline constexpr Field kRegionInfo[] = {TEEIO_FIELD(vfio_region_info, flags, kFlags, kRegionFlags),
                                        TEEIO_FIELD(vfio_region_info, index, kEnum, kRegions),
                                        TEEIO_FIELD(vfio_region_info, size, kHex),
                                        TEEIO_FIELD(vfio_region_info, offset, kHex)};
inline constexpr Field kIrqInfo[] = {TEEIO_FIELD(vfio_irq_info, flags, kFlags, kIrqFlags),
                                     TEEIO_FIELD(vfio_irq_info, index, kEnum, kIrqs),
                                     TEEIO_FIELD(vfio_irq_info, count, kNumber)};
inline constexpr Field kIrqSet[] = {TEEIO_FIELD(vfio_irq_set, flags, kFlags, kIrqSetFlags),
                                    TEEIO_FIELD(vfio_irq_set, index, kEnum, kIrqs),
                                    TEEIO_FIELD(vfio_irq_set, start, kNumber),
                                    TEEIO_FIELD(vfio_irq_set, count, kNumber)};
inline constexpr Field kFeature[] = {TEEIO_FIELD(vfio_device_feature, argsz, kNumber),
                                     TEEIO_FIELD(vfio_device_feature, flags, kFeature, kFeatures)};
inline constexpr Field kResetInfo[] = {
    TEEIO_FIELD(vfio_pci_hot_reset_info, argsz, kNumber),
    TEEIO_FIELD(vfio_pci_hot_reset_info, flags, kFlags, kResetInfoFlags),
    TEEIO_FIELD(vfio_pci_hot_reset_info, count, kNumber)};
inline constexpr Field kHotReset[] = {TEEIO_FIELD(vfio_pci_hot_reset, argsz, kNumber),
                                      TEEIO_FIELD(vfio_pci_hot_reset, flags, kHex),
                                      TEEIO_FIELD(vfio_pci_hot_reset, count, kNumber)};
inline constexpr Field kVfioIoeventfd[] = {
    TEEIO_FIELD(vfio_device_ioeventfd, flags, kFlags, kIoeventfdFlags),
    TEEIO_FIELD(vfio_device_ioeventfd, offset, kHex),
    TEEIO_FIELD(vfio_device_ioeventfd, data, kHex), TEEIO_FIELD(vfio_device_ioeventfd, fd, kFd)};
inline constexpr Field kTsmBind[] = {TEEIO_FIELD(vfio_pci_tsm_bind, flags, kHex),
                                     TEEIO_FIELD(vfio_pci_tsm_bind, vdevice_id, kNumber)};
inline constexpr Field kTsmUnbind[] = {TEEIO_FIELD(vfio_pci_tsm_unbind, argsz, kNumber),
                                       TEEIO_FIELD(vfio_pci_tsm_unbind, flags, kHex)};

}  // namespace teeio::entry::vfio_arguments
