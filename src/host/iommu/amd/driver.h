#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/amd/command_queue.h"
#include "host/iommu/amd/domain.h"
#include "host/iommu/groups.h"
#include "host/iommu/iommu.h"
#include "hw/amd_iommu/amd_iommu.h"
#include "hw/physical_memory.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::amdvi {

/// What a group's functions use while nobody owns their DMA: nothing mapped (the DMA
/// API's own domain at rest) or pass-through (iommu.passthrough=1), which an SNP host has
/// not (amd_iommu_def_domain_type()).
enum class DefaultDomain : std::uint8_t { kTranslated, kIdentity };

/// Linux's AMD IOMMU driver for one IOMMU: the device table, the command buffer, the event
/// log. The secure device table is the PSP's and is not touched here.
///
/// Lifetime: outlives its domains; the IOMMU and the memory outlive it.
/// Locking: own lock (Linux: group->mutex and dev_data->lock), rank kIommuDomain; not held
/// while a domain's lock is.
class Driver final : public iommu::Iommu {
 public:
  /// Turns the IOMMU on, with every requester up to `last_bus` blocked. Errors: ENOMEM.
  static Result<std::unique_ptr<Driver>> create(hw::PhysicalMemory& memory, hw::AmdIommu& hardware,
                                                DefaultDomain default_domain,
                                                std::uint8_t last_bus);
  ~Driver() override;

  /// amd_iommu_probe_device(). ENODEV: a bus that the device table has not.
  using iommu::Iommu::probe;
  Result<void> probe(Bdf function, std::uint32_t group, unsigned pasid_bits) override
      TEEIO_EXCLUDES(mutex_);
  /// amd_iommu_release_device().
  void release(Bdf function) override TEEIO_EXCLUDES(mutex_);

  /// amd_iommu_domain_alloc_paging_flags(). ENOSPC: the 2^16 domain ids are used up.
  using iommu::Iommu::alloc_paging_domain;
  Result<std::unique_ptr<iommu::Domain>> alloc_paging_domain(iommu::Domain::Kind kind) override
      TEEIO_EXCLUDES(mutex_);
  /// EOPNOTSUPP: data; PASIDs, which need tables in the guest's format.
  Result<std::unique_ptr<iommu::Domain>> alloc_paging_domain(
      const iommu::PagingRequest& request) override TEEIO_EXCLUDES(mutex_);
  /// amd_iommu_capable(), amd_iommu_hd_support().
  [[nodiscard]] bool tracks_dirty(std::uint32_t) override { return true; }

  Result<void> claim_dma_owner(std::uint32_t group, const void* owner) override
      TEEIO_EXCLUDES(mutex_);
  void release_dma_owner(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] bool dma_owner_claimed(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  Result<void> use_default_domain(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  void unuse_default_domain(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  /// ENODEV: no function here makes page requests.
  Result<void> attach(std::uint32_t group, iommu::Attachable& domain) override
      TEEIO_EXCLUDES(mutex_);
  void detach(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);

  /// amd_iommufd_hw_info(): struct iommu_hw_info_amd, the two feature registers.
  [[nodiscard]] Result<iommu::HwInfo> hw_info(std::uint32_t type) const override;
  /// amd_iommu_enforce_cache_coherency(): always; every page has FC.
  [[nodiscard]] bool enforces_coherency() const override { return true; }
  /// amd_iommu_get_resv_regions(): the interrupt range and HyperTransport's.
  [[nodiscard]] std::vector<iommu::ReservedRegion> reserved_regions() const override;
  /// drivers/iommu/amd/init.c, amd_iommu_attrs[]: ivhdN with its registers.
  [[nodiscard]] iommu::SysfsInfo sysfs() const override;

  /// Events read from the log since boot, by code (amd_iommu_poll_events()).
  [[nodiscard]] std::array<std::uint64_t, 16> event_counts() const;

 private:
  friend class Domain;
  Driver(hw::PhysicalMemory& memory, hw::AmdIommu& hardware, DefaultDomain default_domain,
         std::uint8_t last_bus)
      : memory_(memory),
        hardware_(hardware),
        default_domain_(default_domain),
        last_bus_(last_bus) {}
  Result<void> set_up();
  [[nodiscard]] std::uint64_t device_table_pages() const;
  [[nodiscard]] CommandQueue& queue() { return *queue_; }
  [[nodiscard]] hw::PhysicalMemory& memory() { return memory_; }
  void write_entry(std::uint16_t rid, std::uint64_t q0, std::uint64_t q1);
  void program(const iommu::Group& group, Bdf function) TEEIO_REQUIRES(mutex_);
  void apply(const iommu::Group& group) TEEIO_REQUIRES(mutex_);
  void set_dirty_tracking(Domain& domain, bool on) TEEIO_EXCLUDES(mutex_);
  void top_changed(const Domain& domain) TEEIO_EXCLUDES(mutex_);
  void free_domain_id(std::uint16_t id) TEEIO_EXCLUDES(mutex_);
  void poll_events();

  hw::PhysicalMemory& memory_;
  hw::AmdIommu& hardware_;
  const DefaultDomain default_domain_;
  const std::uint8_t last_bus_;
  Hpa device_table_{0};
  Hpa event_log_{0};
  std::unique_ptr<CommandQueue> queue_;

  schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  std::set<Bdf> functions_ TEEIO_GUARDED_BY(mutex_);
  iommu::Groups groups_ TEEIO_GUARDED_BY(mutex_);
  std::set<std::uint16_t> domain_ids_ TEEIO_GUARDED_BY(mutex_);

  /// Of event_counts_: the interrupt comes in the middle of a device's request.
  const schedule::Turn event_turn_{"events"};
  mutable schedule::RawLock event_lock_;
  std::array<std::uint64_t, 16> event_counts_ TEEIO_GUARDED_BY(event_lock_){};
};

}  // namespace teeio::amdvi
