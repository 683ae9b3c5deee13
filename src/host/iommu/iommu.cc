// What a driver has that does not say otherwise.

#include "host/iommu/iommu.h"

#include "base/check.h"
#include "host/iommu/virtual_iommu.h"

namespace teeio::iommu {

Result<std::unique_ptr<Domain>> Iommu::alloc_paging_domain(const PagingRequest& request) {
  if (request.dirty_tracking)
    return fail(Errno::kOpNotSupp, "the IOMMU does not track dirty pages");
  if (request.data != nullptr)
    return fail(Errno::kOpNotSupp, "a paging HWPT takes no data of the IOMMU's");
  return alloc_paging_domain(request.kind);
}

Result<std::unique_ptr<NestedDomain>> Iommu::alloc_nested(std::uint32_t, Domain&, std::uint32_t,
                                                          UserData&) {
  return fail(Errno::kOpNotSupp, "the IOMMU makes no nested HWPT");
}

bool Iommu::has_virtual_iommu(std::uint32_t) const { return false; }

Result<std::unique_ptr<VirtualIommu>> Iommu::make_virtual_iommu(std::uint32_t, Domain&, EventSink&,
                                                                SharedPages&, UserData*) {
  return fail(Errno::kOpNotSupp, "the IOMMU has no vIOMMU of this type");
}

bool Iommu::tracks_dirty(std::uint32_t) { return false; }

std::uint32_t Iommu::max_pasids(std::uint32_t) { return 0; }

Result<void> Iommu::attach_pasid(std::uint32_t, std::uint32_t, Attachable&) {
  return fail(Errno::kOpNotSupp, "the IOMMU's driver attaches no PASID");
}

void Iommu::detach_pasid(std::uint32_t, std::uint32_t) {
  TEEIO_CHECK(false, "a PASID is detached where none can be attached");
}

}  // namespace teeio::iommu
