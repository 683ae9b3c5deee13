#include "host/iommufd/hwpt.h"

#include <algorithm>

#include "host/iommufd/context.h"
#include "host/iommufd/fault_queue.h"
#include "host/iommufd/idevice.h"
#include "host/iommufd/viommu.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {
namespace {

Result<void> check_nested(std::uint32_t flags, const iommu::UserData& data) {
  if ((flags & ~(Hwpt::kFaultIdValid | Hwpt::kPasid)) != 0)
    return fail(Errno::kOpNotSupp, "unknown flag of a nested HWPT");
  if (data.length() == 0) return fail(Errno::kOpNotSupp, "a nested HWPT needs the IOMMU's data");
  return {};
}

bool has(std::uint32_t flags, std::uint32_t flag) { return (flags & flag) != 0; }

}  // namespace

Hwpt* Hwpt::of(Object& object) {
  const bool is_one =
      object.type() == ObjectType::kHwptPaging || object.type() == ObjectType::kHwptNested;
  return is_one ? static_cast<Hwpt*>(&object) : nullptr;
}

void Hwpt::set_fault_queue(FaultQueue& queue) {
  queue.add_user();
  faults_ = &queue;
  attachable().handles_faults = true;
}

void Hwpt::drop_fault_queue() {
  if (faults_ != nullptr) faults_->drop_user();
}

HwptPaging::HwptPaging(Ioas& ioas, std::unique_ptr<iommu::Domain> domain, bool pasid)
    : Hwpt(kType, pasid), ioas_(ioas), domain_(std::move(domain)) {
  ioas_.add_user();
}

Result<NewObject<HwptPaging>> HwptPaging::create(Context& context, Ioas& ioas, Idevice& idevice,
                                                 std::uint32_t flags, iommu::UserData* data) {
  constexpr std::uint32_t kValid = kNestParent | kDirtyTracking | kFaultIdValid | kPasid;
  if ((flags & ~kValid) != 0) return fail(Errno::kOpNotSupp, "unknown HWPT flag");
  iommu::Iommu& iommu = idevice.device().iommu();
  const std::uint32_t group = idevice.device().iommu_group();
  if (has(flags, kDirtyTracking) && !iommu.tracks_dirty(group))
    return fail(Errno::kOpNotSupp, "the IOMMU does not track dirty pages");
  if (has(flags, kFaultIdValid) && has(flags, kNestParent))
    return fail(Errno::kOpNotSupp, "a nest parent reports no faults");
  const iommu::PagingRequest request{.group = group,
                                     .kind = has(flags, kNestParent)
                                                 ? iommu::Domain::Kind::kNestParent
                                                 : iommu::Domain::Kind::kPlain,
                                     .dirty_tracking = has(flags, kDirtyTracking),
                                     .pasid = has(flags, kPasid),
                                     .data = data};
  TEEIO_TRY(schedule::allocate("a domain"));
  TEEIO_ASSIGN(auto domain, iommu.alloc_paging_domain(request));
  TEEIO_ASSIGN(auto hwpt,
               NewObject<HwptPaging>::reserve(
                   context.objects(), new HwptPaging(ioas, std::move(domain), has(flags, kPasid))));
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
  drop_fault_queue();
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

HwptNested::HwptNested(HwptPaging& parent, Viommu* viommu,
                       std::unique_ptr<iommu::NestedDomain> domain, bool pasid)
    : Hwpt(kType, pasid), parent_(parent), viommu_(viommu), domain_(std::move(domain)) {
  if (viommu_ != nullptr)
    viommu_->add_user();
  else
    parent_.add_user();
}

Result<NewObject<HwptNested>> HwptNested::create(Context& context, HwptPaging& parent,
                                                 Idevice& idevice, std::uint32_t flags,
                                                 iommu::UserData& data) {
  TEEIO_TRY(check_nested(flags, data));
  iommu::Iommu& iommu = idevice.device().iommu();
  if (parent.auto_domain || !parent.nest_parent() || &parent.domain().iommu() != &iommu)
    return fail(Errno::kInval, "the HWPT below is no nest parent of this IOMMU");
  TEEIO_TRY(schedule::allocate("a domain"));
  TEEIO_ASSIGN(auto domain, iommu.alloc_nested(idevice.device().iommu_group(), parent.domain(),
                                               flags & ~kFaultIdValid, data));
  return NewObject<HwptNested>::reserve(
      context.objects(), new HwptNested(parent, nullptr, std::move(domain), has(flags, kPasid)));
}

Result<NewObject<HwptNested>> HwptNested::create(Context& context, Viommu& viommu,
                                                 std::uint32_t flags, iommu::UserData& data) {
  TEEIO_TRY(check_nested(flags, data));
  if (viommu.driver() == nullptr) return fail(Errno::kOpNotSupp, "the vIOMMU makes no nested HWPT");
  TEEIO_TRY(schedule::allocate("a domain"));
  TEEIO_ASSIGN(auto domain, viommu.driver()->alloc_nested(flags & ~kFaultIdValid, data));
  return NewObject<HwptNested>::reserve(
      context.objects(),
      new HwptNested(viommu.hwpt(), &viommu, std::move(domain), has(flags, kPasid)));
}

void HwptNested::destroy() {
  domain_.reset();
  drop_fault_queue();
  if (viommu_ != nullptr)
    viommu_->drop_user();
  else
    parent_.drop_user();
}

}  // namespace teeio::iommufd
