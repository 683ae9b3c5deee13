#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "host/iommu/iommu.h"
#include "host/iommu/virtual_iommu.h"
#include "host/iommufd/ioas.h"
#include "host/iommufd/object.h"

namespace teeio::iommufd {

class Context;
class FaultQueue;
class HwptPaging;
class Idevice;
class Viommu;

/// A set of hardware page tables (Linux: struct iommufd_hw_pagetable).
///
/// Lifetime: each attached device is one user of it; it is one user of its fault queue.
class Hwpt : public Object {
 public:
  /// IOMMU_HWPT_ALLOC flags (abi: enum iommufd_hwpt_alloc_flags).
  static constexpr std::uint32_t kNestParent = 1;
  static constexpr std::uint32_t kDirtyTracking = 2;
  static constexpr std::uint32_t kFaultIdValid = 4;
  static constexpr std::uint32_t kPasid = 8;

  /// Null for an object of another type.
  [[nodiscard]] static Hwpt* of(Object& object);

  [[nodiscard]] virtual iommu::Attachable& attachable() const = 0;
  /// find_hwpt_paging(): itself, or its nest parent.
  [[nodiscard]] virtual HwptPaging& paging() = 0;
  /// Where page requests go that are made through it; null for nowhere.
  [[nodiscard]] FaultQueue* fault_queue() const { return faults_; }
  /// Before anybody sees the HWPT. Becomes a user of `queue`.
  void set_fault_queue(FaultQueue& queue);
  /// Whether PASIDs may be attached to it, and beside it (hwpt->pasid_compat).
  [[nodiscard]] bool pasid_compatible() const { return pasid_; }

 protected:
  Hwpt(ObjectType type, bool pasid) : Object(type), pasid_(pasid) {}
  ~Hwpt() override = default;
  void drop_fault_queue();

 private:
  FaultQueue* faults_ = nullptr;
  const bool pasid_;
};

/// Page tables with the contents of an IOAS (Linux: struct iommufd_hwpt_paging). Those made
/// for an attach to an IOAS are automatic and go with their last device.
///
/// Lifetime: one user of its IOAS; each vIOMMU and each nested HWPT is one user of it too.
class HwptPaging final : public Hwpt {
 public:
  static constexpr ObjectType kType = ObjectType::kHwptPaging;

  /// iommufd_hwpt_paging_alloc(): filled with what the IOAS has. Not finalized. `data`:
  /// null without. Errors: EOPNOTSUPP a flag that no IOMMU here has; those of
  /// Iommu::alloc_paging_domain() and IoPagetable::add_domain().
  static Result<NewObject<HwptPaging>> create(Context& context, Ioas& ioas, Idevice& idevice,
                                              std::uint32_t flags, iommu::UserData* data)
      TEEIO_REQUIRES(ioas.mutex);

  [[nodiscard]] Ioas& ioas() const { return ioas_; }
  [[nodiscard]] iommu::Domain& domain() const { return *domain_; }
  [[nodiscard]] iommu::Attachable& attachable() const override { return *domain_; }
  [[nodiscard]] HwptPaging& paging() override { return *this; }
  [[nodiscard]] bool nest_parent() const {
    return domain_->kind() == iommu::Domain::Kind::kNestParent;
  }
  /// Guarded by ioas().mutex until finalize(), constant afterwards.
  bool auto_domain = false;

 private:
  HwptPaging(Ioas& ioas, std::unique_ptr<iommu::Domain> domain, bool pasid);
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

/// A guest's first stage over a nest parent (Linux: struct iommufd_hwpt_nested).
///
/// Lifetime: one user of its vIOMMU, or without one of its parent.
class HwptNested final : public Hwpt {
 public:
  static constexpr ObjectType kType = ObjectType::kHwptNested;

  /// iommufd_hwpt_nested_alloc(). Not finalized. Errors: EOPNOTSUPP a flag, or an IOMMU
  /// without nested domains; EINVAL `parent` is no nest parent, or another IOMMU's;
  /// Iommu::alloc_nested()'s.
  static Result<NewObject<HwptNested>> create(Context& context, HwptPaging& parent,
                                              Idevice& idevice, std::uint32_t flags,
                                              iommu::UserData& data);
  /// iommufd_viommu_alloc_hwpt_nested(). Errors: EOPNOTSUPP likewise;
  /// VirtualIommu::alloc_nested()'s.
  static Result<NewObject<HwptNested>> create(Context& context, Viommu& viommu, std::uint32_t flags,
                                              iommu::UserData& data);

  [[nodiscard]] iommu::NestedDomain& domain() const { return *domain_; }
  [[nodiscard]] iommu::Attachable& attachable() const override { return *domain_; }
  [[nodiscard]] HwptPaging& paging() override { return parent_; }

 private:
  HwptNested(HwptPaging& parent, Viommu* viommu, std::unique_ptr<iommu::NestedDomain> domain,
             bool pasid);
  ~HwptNested() override = default;
  /// iommufd_hwpt_nested_destroy().
  void destroy() override;

  HwptPaging& parent_;
  Viommu* const viommu_;  ///< null without
  std::unique_ptr<iommu::NestedDomain> domain_;
};

}  // namespace teeio::iommufd
