#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::schedule {

/// The one global lock order: a task may take a lock only while every lock it
/// holds has a smaller rank. Names, scopes and order are the kernel's where a
/// kernel lock exists (docs/locks.md cites the function for each); the rest are
/// ours and say so there. kUnranked opts out: device_lock(), and tests' leaves.
enum class Rank : std::uint8_t {
  kUnranked = 0,
  // run/: the supervisor's own, above every kernel lock.
  kSupervisor,
  kFdTable,
  kPciRescanRemove,  ///< pci_rescan_remove_lock
  // VFIO
  kVfioGroup,      ///< group->group_lock
  kVfioContainer,  ///< container->group_lock
  kVfioDevset,     ///< dev_set->lock
  kVfioIgate,      ///< vdev->igate
  // KVM outer locks
  kKvmDeviceVfio,  ///< kvm_vfio::lock
  kKvmLock,        ///< kvm->lock
  kVcpuMutex,      ///< vcpu->mutex
  kKvmSlotsLock,   ///< kvm->slots_lock
  kKvmSrcu,        ///< kvm->srcu read side; written to wait for readers
  // VFIO's type 1 containers
  kVfioType1,  ///< iommu->lock
  // iommufd
  kIommufdIoas,    ///< ioas->mutex: iommufd_device_auto_get_domain() attaches under it
  kIommufdGroup,   ///< igroup->lock
  kIopt,           ///< iopt->domains_rwsem
  kIoptIova,       ///< iopt->iova_rwsem
  kIoptPages,      ///< iopt_pages->mutex
  kViommuVdevs,    ///< xa_lock of viommu->vdevs
  kIommufdXarray,  ///< xa_lock of ictx->objects
  // PCI/TSM
  kPciTsmRwsem,  ///< pci_tsm_rwsem
  kPciTsmPf0,    ///< pci_tsm_pf0->lock
  kTsmDriver,    ///< a vendor driver's tables that cards share
  // VFIO memory, dma-buf and KVM's MMU, which run below bind and unbind
  kVfioMemory,       ///< vdev->memory_lock
  kDmaResv,          ///< dma_resv of a dma-buf
  kIoptPagesDmabuf,  ///< iopt_pages->mutex of dma-buf pages (pages_dmabuf_mutex_key)
  kGmemInvalidate,   ///< filemap_invalidate_lock of a guest_memfd
  kKvmMmu,           ///< kvm->mmu_lock
  kVfioKvmRef,       ///< df->kvm_ref_lock
  // Host drivers' leaves
  kIommuDomain,  ///< a domain's page-table lock
  kTdxExt,       ///< tdx_ext_lock: one extension call at a time
  kDoeMailbox,   ///< pci_doe_mb work queue order
  // Device, firmware and hardware models
  kFirmware,
  kDevice,
  kPhysicalMemory,
  kIommuHardware,
  // Everybody's leaves
  kMm,
  kWaitQueue,  ///< short waits of object users
  kTrace,
  kLeaf,
};

/// Linux's name of the lock where there is one ("igroup->lock"), else ours.
[[nodiscard]] std::string_view rank_name(Rank rank);

}  // namespace teeio::schedule
