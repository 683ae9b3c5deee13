#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/groups.h"
#include "host/iommu/iommu.h"
#include "host/iommu/vtd/domain.h"
#include "host/iommu/vtd/nested.h"
#include "host/iommu/vtd/pasid_table.h"
#include "hw/physical_memory.h"
#include "hw/vtd/vtd_iommu.h"
#include "schedule/mutex.h"

namespace teeio::vtd {

/// What a group's functions use while nobody owns their DMA: nothing mapped
/// (the DMA API's own domain at rest) or pass-through (iommu.passthrough=1).
enum class DefaultDomain : std::uint8_t { kTranslated, kIdentity };

/// Which IOMMU the driver shows to programs.
enum class Model : std::uint8_t {
  kIntel,    ///< VT-d: its registers, its name, its errata
  kStandIn,  ///< that of a platform whose own IOMMU is not modelled: its tables have
             ///< VT-d's format, and it reports no registers and no errata
};

/// Linux's Intel IOMMU driver for one IOMMU. Writes the T=0 root, context and PASID
/// tables.
///
/// Lifetime: outlives its domains; the IOMMU and the memory outlive it.
/// Locking: own lock (Linux: group->mutex and iommu->lock), rank kIommuDomain;
/// not held while a domain's lock is.
class Driver final : public iommu::Iommu {
 public:
  /// Turns the shared side on. Errors: ENOMEM.
  static Result<std::unique_ptr<Driver>> create(hw::PhysicalMemory& memory, hw::VtdIommu& hardware,
                                                DefaultDomain default_domain,
                                                Model model = Model::kIntel);
  ~Driver() override;

  /// intel_iommu_probe_device().
  using iommu::Iommu::probe;
  Result<void> probe(Bdf function, std::uint32_t group, unsigned pasid_bits) override
      TEEIO_EXCLUDES(mutex_);
  /// intel_iommu_release_device().
  void release(Bdf function) override TEEIO_EXCLUDES(mutex_);

  /// intel_iommu_domain_alloc_paging_flags(). ENOSPC: the 2^16 domain ids are used up.
  using iommu::Iommu::alloc_paging_domain;
  Result<std::unique_ptr<iommu::Domain>> alloc_paging_domain(iommu::Domain::Kind kind) override
      TEEIO_EXCLUDES(mutex_);
  Result<std::unique_ptr<iommu::Domain>> alloc_paging_domain(
      const iommu::PagingRequest& request) override TEEIO_EXCLUDES(mutex_);
  /// intel_iommu_domain_alloc_nested(). A stand-in has none.
  Result<std::unique_ptr<iommu::NestedDomain>> alloc_nested(std::uint32_t group,
                                                            iommu::Domain& parent,
                                                            std::uint32_t flags,
                                                            iommu::UserData& data) override;
  /// intel_iommu_capable(), ssads_supported().
  [[nodiscard]] bool tracks_dirty(std::uint32_t) override { return model_ == Model::kIntel; }
  /// dev_iommu_get_max_pasids(): the most that a function of the group has, within ECAP.PSS.
  [[nodiscard]] std::uint32_t max_pasids(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);

  Result<void> claim_dma_owner(std::uint32_t group, const void* owner) override
      TEEIO_EXCLUDES(mutex_);
  void release_dma_owner(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  [[nodiscard]] bool dma_owner_claimed(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  Result<void> use_default_domain(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  void unuse_default_domain(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  /// ENODEV: no function here makes page requests; EINVAL NestedDomain::check().
  Result<void> attach(std::uint32_t group, iommu::Attachable& domain) override
      TEEIO_EXCLUDES(mutex_);
  void detach(std::uint32_t group) override TEEIO_EXCLUDES(mutex_);
  /// intel_iommu_set_dev_pasid(), intel_nested_set_dev_pasid(). Functions without PASIDs are
  /// not told, as __iommu_set_group_pasid() does it. Errors: EOPNOTSUPP a stand-in; EINVAL a
  /// PASID that a function has not, NestedDomain::check(); ENODEV as attach(); ENOMEM.
  Result<void> attach_pasid(std::uint32_t group, std::uint32_t pasid,
                            iommu::Attachable& domain) override TEEIO_EXCLUDES(mutex_);
  void detach_pasid(std::uint32_t group, std::uint32_t pasid) override TEEIO_EXCLUDES(mutex_);

  /// intel_iommu_hw_info(); a stand-in is as a driver without that operation.
  [[nodiscard]] Result<iommu::HwInfo> hw_info(std::uint32_t type) const override;
  /// ecap_sc_support(): the second stage snoops whatever a device asks for, and
  /// intel_iommu_enforce_cache_coherency_ss() makes every domain do so.
  [[nodiscard]] bool enforces_coherency() const override;
  /// intel_iommu_get_resv_regions(): the interrupt range.
  [[nodiscard]] std::vector<iommu::ReservedRegion> reserved_regions() const override;
  /// drivers/iommu/intel/iommu.c, intel_iommu_attrs[]: dmarN with its registers. A
  /// stand-in is iommuN without any.
  [[nodiscard]] iommu::SysfsInfo sysfs() const override;
  [[nodiscard]] std::uint64_t kept_frames() override TEEIO_EXCLUDES(mutex_);

  [[nodiscard]] hw::VtdIommu& hardware() const { return hardware_; }
  [[nodiscard]] hw::PhysicalMemory& memory() const { return memory_; }
  [[nodiscard]] Model model() const { return model_; }

  // What the driver's domains ask for.

  /// Errors: ENOSPC.
  Result<std::uint16_t> alloc_domain_id() TEEIO_EXCLUDES(mutex_);
  void free_domain_id(std::uint16_t id) TEEIO_EXCLUDES(mutex_);
  /// Of what uses `domain`, nested or not: intel_pasid_setup_dirty_tracking().
  void set_dirty_tracking(Domain& domain, bool on) TEEIO_EXCLUDES(mutex_);
  /// cache_tag_flush_range() of a nested domain: `pages` from `first` on, for each PASID that
  /// uses it.
  void flush_first_stage(const NestedDomain& domain, Iova first, std::uint64_t pages)
      TEEIO_EXCLUDES(mutex_);

 private:
  struct Function {
    std::unique_ptr<PasidTable> pasids;
    std::uint32_t max_pasids = 0;
  };
  using Attached = std::map<std::uint32_t, const iommu::Attachable*>;  ///< by PASID, not 0

  Driver(hw::PhysicalMemory& memory, hw::VtdIommu& hardware, DefaultDomain default_domain,
         Model model);
  PasidSetting setting_of(const iommu::Group& group) const TEEIO_REQUIRES(mutex_);
  static PasidSetting setting_of(const iommu::Attachable& domain);
  void apply(const iommu::Group& group) TEEIO_REQUIRES(mutex_);
  void apply_pasid(std::uint32_t group, std::uint32_t pasid, const PasidSetting& setting)
      TEEIO_REQUIRES(mutex_);
  void program(Bdf function, std::uint32_t pasid, const PasidSetting& setting)
      TEEIO_REQUIRES(mutex_);
  Result<void> check_pasid(std::uint32_t group, std::uint32_t pasid) TEEIO_REQUIRES(mutex_);
  Result<Hpa> context_table_for(Bdf function) TEEIO_REQUIRES(mutex_);
  Result<Hpa> alloc_table() TEEIO_REQUIRES(mutex_);
  void write(Hpa address, std::uint64_t value);

  hw::PhysicalMemory& memory_;
  hw::VtdIommu& hardware_;
  const DefaultDomain default_domain_;
  const Model model_;
  schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  Hpa root_table_ TEEIO_GUARDED_BY(mutex_){0};
  std::vector<Hpa> tables_ TEEIO_GUARDED_BY(mutex_);  ///< every frame, to be given back
  /// By bus and half of the bus: devices 0–15 and 16–31.
  std::map<std::uint16_t, Hpa> context_tables_ TEEIO_GUARDED_BY(mutex_);
  std::map<Bdf, Function> functions_ TEEIO_GUARDED_BY(mutex_);
  iommu::Groups groups_ TEEIO_GUARDED_BY(mutex_);
  std::map<std::uint32_t, Attached> pasids_ TEEIO_GUARDED_BY(mutex_);  ///< by group
  std::set<std::uint16_t> domain_ids_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::vtd
