#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "host/iommu/iommu.h"
#include "host/iommufd/ioas.h"
#include "host/iommufd/object.h"

namespace teeio::iommufd {

class Context;
class Idevice;

/// A set of hardware page tables with the contents of an IOAS (Linux: struct
/// iommufd_hwpt_paging). Those made for an attach to an IOAS are automatic and
/// go with their last device.
///
/// Lifetime: one user of its IOAS; each attached device and each vIOMMU is one
/// user of it.
class HwptPaging final : public Object {
 public:
  static constexpr ObjectType kType = ObjectType::kHwptPaging;
  /// IOMMU_HWPT_ALLOC flags (abi: enum iommufd_hwpt_alloc_flags).
  static constexpr std::uint32_t kNestParent = 1;
  static constexpr std::uint32_t kDirtyTracking = 2;
  static constexpr std::uint32_t kFaultIdValid = 4;
  static constexpr std::uint32_t kPasid = 8;

  /// iommufd_hwpt_paging_alloc(): filled with what the IOAS has. Not finalized.
  /// Errors: EOPNOTSUPP a flag that no IOMMU here has; those of
  /// Iommu::alloc_paging_domain() and IoPagetable::add_domain().
  static Result<NewObject<HwptPaging>> create(Context& context, Ioas& ioas, Idevice& idevice,
                                              std::uint32_t flags) TEEIO_REQUIRES(ioas.mutex);

  [[nodiscard]] Ioas& ioas() const { return ioas_; }
  [[nodiscard]] iommu::Domain& domain() const { return *domain_; }
  [[nodiscard]] bool nest_parent() const {
    return domain_->kind() == iommu::Domain::Kind::kNestParent;
  }
  /// Guarded by ioas().mutex until finalize(), constant afterwards.
  bool auto_domain = false;

 private:
  HwptPaging(Ioas& ioas, std::unique_ptr<iommu::Domain> domain);
  ~HwptPaging() override = default;
  /// iommufd_hwpt_paging_destroy().
  void destroy() override;
  /// iommufd_hwpt_paging_abort(): the maker holds ioas->mutex.
  void abort() override;
  void leave_ioas() TEEIO_REQUIRES(ioas_.mutex);

  Ioas& ioas_;
  std::unique_ptr<iommu::Domain> domain_;
  bool in_ioas_ = false;
};

}  // namespace teeio::iommufd
