#include "schedule/rank.h"

namespace teeio::schedule {

std::string_view rank_name(Rank rank) {
  switch (rank) {
    case Rank::kUnranked:
      return "unranked";
    case Rank::kSupervisor:
      return "supervisor";
    case Rank::kFdTable:
      return "files->file_lock";
    case Rank::kPciRescanRemove:
      return "pci_rescan_remove_lock";
    case Rank::kVfioGroup:
      return "group->group_lock";
    case Rank::kVfioContainer:
      return "container->group_lock";
    case Rank::kVfioType1:
      return "vfio_iommu->lock";
    case Rank::kVfioDevset:
      return "dev_set->lock";
    case Rank::kVfioIgate:
      return "vdev->igate";
    case Rank::kKvmDeviceVfio:
      return "kvm_vfio->lock";
    case Rank::kKvmLock:
      return "kvm->lock";
    case Rank::kVcpuMutex:
      return "vcpu->mutex";
    case Rank::kKvmSlotsLock:
      return "kvm->slots_lock";
    case Rank::kKvmSrcu:
      return "kvm->srcu";
    case Rank::kIommufdGroup:
      return "igroup->lock";
    case Rank::kIommufdIoas:
      return "ioas->mutex";
    case Rank::kIopt:
      return "iopt->domains_rwsem";
    case Rank::kIoptIova:
      return "iopt->iova_rwsem";
    case Rank::kIoptPages:
      return "pages->mutex";
    case Rank::kViommuVdevs:
      return "viommu->vdevs";
    case Rank::kIommufdXarray:
      return "ictx->objects";
    case Rank::kPciTsmRwsem:
      return "pci_tsm_rwsem";
    case Rank::kPciTsmPf0:
      return "pci_tsm_pf0->lock";
    case Rank::kTsmDriver:
      return "tsm driver";
    case Rank::kVfioMemory:
      return "vdev->memory_lock";
    case Rank::kDmaResv:
      return "dma_resv";
    case Rank::kIoptPagesDmabuf:
      return "pages->mutex (dma-buf)";
    case Rank::kGmemInvalidate:
      return "mapping->invalidate_lock";
    case Rank::kKvmMmu:
      return "kvm->mmu_lock";
    case Rank::kVfioKvmRef:
      return "df->kvm_ref_lock";
    case Rank::kIommuDomain:
      return "iommu domain";
    case Rank::kTdxExt:
      return "tdx_ext_lock";
    case Rank::kDoeMailbox:
      return "doe_mb";
    case Rank::kFirmware:
      return "firmware";
    case Rank::kDevice:
      return "device";
    case Rank::kPhysicalMemory:
      return "physical memory";
    case Rank::kIommuHardware:
      return "iommu hardware";
    case Rank::kMm:
      return "mm";
    case Rank::kWaitQueue:
      return "wait queue";
    case Rank::kTrace:
      return "trace";
    case Rank::kLeaf:
      return "leaf";
  }
  return "?";
}

}  // namespace teeio::schedule
