#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/iommu/vtd/domain.h"
#include "hw/iommu.h"
#include "hw/physical_memory.h"
#include "schedule/mutex.h"

namespace teeio::vtd {

/// What a group's functions use while nobody owns their DMA: nothing mapped
/// (the DMA API's own domain at rest) or pass-through (iommu.passthrough=1).
enum class DefaultDomain : std::uint8_t { kTranslated, kIdentity };

/// What GET_HW_INFO reports (abi: struct iommu_hw_info_vtd).
struct HwInfo {
  std::uint32_t flags;
  std::uint64_t cap_reg;
  std::uint64_t ecap_reg;
};

/// IOVAs that never reach memory through a domain (IOMMU_RESV_MSI).
struct ReservedRegion {
  Iova first;
  Iova last;
};

/// Linux's Intel IOMMU driver for one IOMMU, with the part of the IOMMU core
/// (drivers/iommu/iommu.c) that keeps groups: which domain each uses and who
/// owns its DMA. Writes the T=0 root, context and PASID tables.
///
/// Lifetime: outlives its domains; the IOMMU and the memory outlive it.
/// Locking: own lock (Linux: group->mutex and iommu->lock), rank kIommuDomain;
/// not held while a domain's lock is.
class Driver {
 public:
  /// Turns the shared side on. Errors: ENOMEM.
  static Result<std::unique_ptr<Driver>> create(hw::PhysicalMemory& memory, hw::Iommu& iommu,
                                                DefaultDomain default_domain);
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// A function arrives (intel_iommu_probe_device()) as a member of `group`,
  /// and gets the default domain. Errors: ENOMEM.
  Result<void> probe(Bdf function, std::uint32_t group) TEEIO_EXCLUDES(mutex_);
  /// A function leaves (intel_iommu_release_device()): blocked. Precondition:
  /// probed.
  void release(Bdf function) TEEIO_EXCLUDES(mutex_);

  /// intel_iommu_domain_alloc_paging_flags(). Errors: ENOMEM; ENOSPC when the
  /// 2^16 domain ids are used up.
  Result<std::unique_ptr<Domain>> alloc_paging_domain(Domain::Kind kind) TEEIO_EXCLUDES(mutex_);

  /// iommu_device_claim_dma_owner(): the group's DMA is blocked until a domain
  /// is attached. Errors: EPERM owned by another.
  /// Precondition: the group exists (all four).
  Result<void> claim_dma_owner(std::uint32_t group, const void* owner) TEEIO_EXCLUDES(mutex_);
  /// iommu_device_release_dma_owner(): the last one brings the default back.
  void release_dma_owner(std::uint32_t group) TEEIO_EXCLUDES(mutex_);
  /// iommu_attach_group_handle(), iommu_replace_group_handle(): every function
  /// of the group uses `domain` from here on, without a gap in between.
  void attach(std::uint32_t group, Domain& domain) TEEIO_EXCLUDES(mutex_);
  /// iommu_detach_group_handle(): blocked again.
  void detach(std::uint32_t group) TEEIO_EXCLUDES(mutex_);

  [[nodiscard]] static HwInfo hw_info();
  /// ecap_sc_support(): the second stage snoops whatever a device asks for, and
  /// intel_iommu_enforce_cache_coherency_ss() makes every domain do so.
  [[nodiscard]] static bool enforces_coherency();
  /// intel_iommu_get_resv_regions(): the interrupt range.
  [[nodiscard]] static std::vector<ReservedRegion> reserved_regions();

  [[nodiscard]] hw::Iommu& iommu() const { return iommu_; }
  [[nodiscard]] hw::PhysicalMemory& memory() const { return memory_; }

 private:
  friend class Domain;
  struct Function {
    Hpa pasid_directory{0};
    Hpa pasid_table{0};
  };
  struct Group {
    std::set<Bdf> functions;
    const void* owner = nullptr;
    std::uint32_t owner_count = 0;
    Domain* domain = nullptr;  ///< null: blocked if owned, else the default
  };
  /// Every kind of translation that a PASID entry can hold.
  struct Setting {
    enum class Kind : std::uint8_t { kBlocked, kIdentity, kSecondStage } kind;
    Hpa root{0};
    std::uint16_t domain_id = 0;
  };

  Driver(hw::PhysicalMemory& memory, hw::Iommu& iommu, DefaultDomain default_domain);
  Group& group(std::uint32_t number) TEEIO_REQUIRES(mutex_);
  Setting setting_of(const Group& group) const TEEIO_REQUIRES(mutex_);
  void apply(const Group& group) TEEIO_REQUIRES(mutex_);
  void program(Bdf function, const Setting& setting) TEEIO_REQUIRES(mutex_);
  Result<Hpa> context_table_for(Bdf function) TEEIO_REQUIRES(mutex_);
  Result<Hpa> alloc_table() TEEIO_REQUIRES(mutex_);
  void write(Hpa address, std::uint64_t value);
  void free_domain_id(std::uint16_t id) TEEIO_EXCLUDES(mutex_);

  hw::PhysicalMemory& memory_;
  hw::Iommu& iommu_;
  const DefaultDomain default_domain_;
  schedule::Mutex mutex_{schedule::Rank::kIommuDomain};
  Hpa root_table_ TEEIO_GUARDED_BY(mutex_){0};
  std::vector<Hpa> tables_ TEEIO_GUARDED_BY(mutex_);  ///< every frame, to be given back
  /// By bus and half of the bus: devices 0–15 and 16–31.
  std::map<std::uint16_t, Hpa> context_tables_ TEEIO_GUARDED_BY(mutex_);
  std::map<Bdf, Function> functions_ TEEIO_GUARDED_BY(mutex_);
  std::map<std::uint32_t, Group> groups_ TEEIO_GUARDED_BY(mutex_);
  std::set<std::uint16_t> domain_ids_ TEEIO_GUARDED_BY(mutex_);
};

}  // namespace teeio::vtd
