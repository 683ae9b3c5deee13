#include "host/vfio/container.h"

#include <algorithm>

#include "base/check.h"
#include "host/vfio/group.h"

namespace teeio::vfio {

Result<void> Container::attach(Group& group) {
  const schedule::WriteLock lock(group_lock_);
  // iommu_group_claim_dma_owner(): nobody may have it, not even this owner.
  if (group.iommu().dma_owner_claimed(group.number()))
    return fail(Errno::kPerm, "the group's DMA belongs to another owner");
  TEEIO_TRY(group.iommu().claim_dma_owner(group.number(), &group));
  if (iommu_ != nullptr)
    if (auto attached = iommu_->attach(group.number(), group.iommu()); !attached) {
      group.iommu().release_dma_owner(group.number());
      return attached;
    }
  groups_.push_back(&group);
  return {};
}

void Container::detach(Group& group) {
  const schedule::WriteLock lock(group_lock_);
  if (iommu_ != nullptr) iommu_->detach(group.number(), group.iommu());
  group.iommu().release_dma_owner(group.number());
  TEEIO_CHECK(std::erase(groups_, &group) == 1, "a group leaves a container that it is not in");
  if (!groups_.empty()) return;
  has_iommu_.store(false);
  iommu_.reset();
}

/// vfio_ioctl_set_iommu() and vfio_iommu_type1_open().
Result<void> Container::set_iommu(Extension extension) {
  const schedule::WriteLock lock(group_lock_);
  if (groups_.empty()) return fail(Errno::kInval, "the container has no group");
  if (iommu_ != nullptr) return fail(Errno::kInval, "the container has an IOMMU already");
  if (extension == Extension::kUnmapAll)
    return fail(Errno::kInval, "the extension is no kind of IOMMU");
  if (extension != Extension::kType1 && extension != Extension::kType1v2)
    return fail(Errno::kNoDev, "no IOMMU driver of VFIO has the extension");
  auto iommu = std::make_unique<Type1>(
      memory_, extension == Extension::kType1 ? Type1::Version::kV1 : Type1::Version::kV2);
  // __vfio_container_attach_groups()
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    auto attached = iommu->attach(groups_[i]->number(), groups_[i]->iommu());
    if (attached.has_value()) continue;
    while (i-- > 0) iommu->detach(groups_[i]->number(), groups_[i]->iommu());
    return attached;
  }
  iommu_ = std::move(iommu);
  has_iommu_.store(true);
  return {};
}

/// vfio_iommu_type1_check_extension().
bool Container::has(Extension extension) {
  const schedule::ReadLock lock(group_lock_);
  switch (extension) {
    case Extension::kType1:
    case Extension::kType1v2:
    case Extension::kUnmapAll:
      return true;
    case Extension::kUpdateVaddr:
      return iommu_ != nullptr;
    case Extension::kDmaCoherent:
      return iommu_ != nullptr && iommu_->enforces_coherency();
  }
  return false;
}

}  // namespace teeio::vfio
