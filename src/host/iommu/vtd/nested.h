#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "host/iommu/user_data.h"
#include "host/iommu/virtual_iommu.h"

namespace teeio::vtd {

class Domain;
class Driver;

/// A program's first-stage page table over a nest parent (Linux: a struct dmar_domain of
/// type IOMMU_DOMAIN_NESTED, drivers/iommu/intel/nested.c). It has a domain id of its own.
///
/// Locking: the driver's.
class NestedDomain final : public iommu::NestedDomain {
 public:
  /// intel_iommu_domain_alloc_nested(). Errors: EOPNOTSUPP another type of data; EINVAL
  /// `parent` is no nest parent, a shorter structure; E2BIG; EFAULT; ENOSPC no domain id is
  /// left.
  static Result<std::unique_ptr<NestedDomain>> create(Driver& driver, iommu::Domain& parent,
                                                      iommu::UserData& data);
  ~NestedDomain() override;

  [[nodiscard]] const iommu::Iommu& iommu() const override;
  /// intel_nested_cache_invalidate_user(): the pages of each command leave the IOTLB, for
  /// every function and PASID that uses this first stage. `done` counts them, to the first
  /// that fails. Errors: EINVAL another type, an address that is no page's, all pages from
  /// another address than 0; EOPNOTSUPP a flag or a reserved field; E2BIG; EFAULT.
  Result<void> invalidate(iommu::UserData& commands, std::uint32_t& done) override;

  /// What intel_pasid_setup_nested() finds only when it is attached. Errors: EINVAL a width
  /// that the first stage has not, SRE or EAFE, which ECAP does not offer.
  [[nodiscard]] Result<void> check() const;
  [[nodiscard]] Domain& parent() const { return parent_; }
  [[nodiscard]] std::uint16_t id() const { return id_; }
  [[nodiscard]] std::uint64_t table() const { return config_.table; }

 private:
  /// struct iommu_hwpt_vtd_s1.
  struct Config {
    std::uint64_t flags;
    std::uint64_t table;
    std::uint32_t address_width;
    std::uint32_t reserved;
  };
  NestedDomain(Driver& driver, Domain& parent, std::uint16_t id, const Config& config);

  Driver& driver_;
  Domain& parent_;
  const std::uint16_t id_;
  const Config config_;
};

}  // namespace teeio::vtd
