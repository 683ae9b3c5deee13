#include "host/iommufd/hwpt.h"

#include <algorithm>

#include "host/iommufd/context.h"
#include "host/iommufd/idevice.h"

namespace teeio::iommufd {

HwptPaging::HwptPaging(Ioas& ioas, std::unique_ptr<iommu::Domain> domain)
    : Object(kType), ioas_(ioas), domain_(std::move(domain)) {
  ioas_.add_user();
}

Result<NewObject<HwptPaging>> HwptPaging::create(Context& context, Ioas& ioas, Idevice& idevice,
                                                 std::uint32_t flags) {
  constexpr std::uint32_t kValid = kNestParent | kDirtyTracking | kFaultIdValid | kPasid;
  if ((flags & ~kValid) != 0) return fail(Errno::kOpNotSupp, "unknown HWPT flag");
  if ((flags & kDirtyTracking) != 0)
    return fail(Errno::kOpNotSupp, "the IOMMU does not track dirty pages");
  if ((flags & kFaultIdValid) != 0 && (flags & kNestParent) != 0)
    return fail(Errno::kOpNotSupp, "a nest parent reports no faults");
  const auto kind =
      (flags & kNestParent) != 0 ? iommu::Domain::Kind::kNestParent : iommu::Domain::Kind::kPlain;
  TEEIO_ASSIGN(auto domain, idevice.device().iommu().alloc_paging_domain(kind));
  TEEIO_ASSIGN(auto hwpt, NewObject<HwptPaging>::reserve(context.objects(),
                                                         new HwptPaging(ioas, std::move(domain))));
  TEEIO_TRY(ioas.iopt.add_domain(hwpt->domain()));
  ioas.hwpts.push_back(&*hwpt);
  hwpt->in_ioas_ = true;
  return hwpt;
}

void HwptPaging::leave_ioas() {
  std::erase(ioas_.hwpts, this);
  in_ioas_ = false;
}

void HwptPaging::destroy() {
  if (in_ioas_) {
    {
      const schedule::Lock lock(ioas_.mutex);
      leave_ioas();
    }
    ioas_.iopt.remove_domain(*domain_);
  }
  domain_.reset();
  ioas_.drop_user();
}

void HwptPaging::abort() {
  ioas_.mutex.assert_held();
  if (in_ioas_) {
    leave_ioas();
    ioas_.iopt.remove_domain(*domain_);
  }
  destroy();
}

}  // namespace teeio::iommufd
