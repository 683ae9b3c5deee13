#include "host/iommufd/idevice.h"

#include "base/check.h"
#include "host/iommufd/context.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/vdevice.h"
#include "schedule/seeded_bug.h"

namespace teeio::iommufd {

using object::Fact;
using object::Lane;

namespace {

/// What the seeded bug does instead of nothing: an early return past the unlock.
void leave_locked(schedule::Mutex& mutex) TEEIO_NO_THREAD_SAFETY_ANALYSIS { mutex.lock(); }

}  // namespace

Idevice::Idevice(Context& context, DeviceHandle& device, VmHandle vm)
    : Object(kType), context_(context), device_(device), vm_(vm) {}
Idevice::~Idevice() = default;

Result<Idevice*> Idevice::bind(Context& context, DeviceHandle& device, VmHandle vm) {
  auto call =
      context.trace().call(Lane::kIommufd, "iommufd_device_bind", {.function = device.bdf()});
  auto idevice = NewObject<Idevice>::reserve(context.objects(), new Idevice(context, device, vm));
  Result<void> claimed;
  if (!idevice.has_value())
    claimed = std::unexpected(idevice.error());
  else
    claimed = (*idevice)->claim();
  if (!claimed.has_value()) {
    call.refuse(claimed.error());
    return std::unexpected(claimed.error());
  }
  (*idevice)->add_user();  // VFIO, until unbind()
  context.trace().fact(Lane::kIommufd, Fact::kIdeviceCreated, "idevice",
                       {.function = device.bdf(), .vm = vm.number, .a = (*idevice)->serial()});
  return &idevice->commit();
}

Result<void> Idevice::claim() {
  object::Ref<Group> group = context_.group(device_.iommu_group());
  TEEIO_TRY(device_.iommu().claim_dma_owner(group->number(), &context_));
  group_ = std::move(group);
  context_file_ = object::Ref<object::File>::share(context_);
  return {};
}

void Idevice::unbind() {
  // The context may go with its last device: not before its table is left.
  const object::DelayedPuts scope;
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_unbind", {.function = device_.bdf()});
  tsm_unbind();
  context_.objects().destroy_user(*this);
}

void Idevice::remove_vdevice() {
  Vdevice* vdevice = nullptr;
  {
    const schedule::Lock lock(group_->lock);
    destroying_ = true;  // no vDEVICE can be made from here on
    vdevice = vdevice_;
    if (vdevice == nullptr) return;
    // IOMMU_DESTROY has it out of the table but not destroyed yet, for which it
    // needs this lock: our wait_cnt says when it is done.
    if (!context_.objects().try_inc_users(*vdevice).has_value()) return;
  }
  context_.objects().tombstone_user(*vdevice);
}

void Idevice::pre_destroy() {
  if (context_.idevice_destroys_vdevice()) return remove_vdevice();
}

void Idevice::destroy() {
  if (!group_) return;  // bind failed
  {
    const schedule::Lock lock(group_->lock);
    if (vdevice_ != nullptr) vdevice_->idevice_ = nullptr;  // VdeviceLifetime::kIndependent
    vdevice_ = nullptr;
    TEEIO_CHECK(!group_->attached.contains(id()), "a device is unbound while it is attached");
  }
  device_.iommu().release_dma_owner(group_->number());
  context_.trace().fact(Lane::kIommufd, Fact::kIdeviceDestroyed, "idevice",
                        {.function = device_.bdf(), .a = serial()});
  group_.reset();
  context_file_.reset();
}

Result<ObjectId> Idevice::attach(ObjectId pt_id) {
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_attach", {.function = device_.bdf()});
  auto hwpt_id = change_pt(pt_id, Change::kAttach);
  if (!hwpt_id.has_value())
    call.refuse(hwpt_id.error());
  else
    add_user();  // catches an unbind of an attached device
  return hwpt_id;
}

Result<ObjectId> Idevice::replace(ObjectId pt_id) {
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_replace", {.function = device_.bdf()});
  auto hwpt_id = change_pt(pt_id, Change::kReplace);
  if (!hwpt_id.has_value()) call.refuse(hwpt_id.error());
  return hwpt_id;
}

Result<ObjectId> Idevice::change_pt(ObjectId pt_id, Change change) {
  ObjectTable& objects = context_.objects();
  Result<Changed> changed;
  {
    TEEIO_ASSIGN(Object * object, objects.get(pt_id, ObjectType::kAny));
    const Using<Object> pt(objects, *object);
    switch (pt->type()) {
      case ObjectType::kHwptPaging:
        changed = change_to_hwpt(static_cast<HwptPaging&>(*pt), change);
        break;
      case ObjectType::kIoas:
        changed = change_to_ioas(static_cast<Ioas&>(*pt), change);
        break;
      case ObjectType::kAny:
      case ObjectType::kDevice:
      case ObjectType::kViommu:
      case ObjectType::kVdevice:
        return fail(Errno::kInval, "a device attaches to an IOAS or a HWPT only");
    }
  }
  if (!changed.has_value()) return std::unexpected(changed.error());
  if (changed->old != nullptr) put_hwpt(*changed->old);  // may destroy it: after all locks
  return changed->hwpt_id;
}

Result<Idevice::Changed> Idevice::change_to_hwpt(HwptPaging& hwpt, Change change) {
  if (change == Change::kReplace) {
    TEEIO_ASSIGN(HwptPaging * old, do_replace(hwpt));
    return Changed{hwpt.id(), old};
  }
  TEEIO_TRY(do_attach(hwpt));
  return Changed{hwpt.id(), nullptr};
}

// iommufd_device_auto_get_domain(): any automatic HWPT that fits will do.
Result<Idevice::Changed> Idevice::change_to_ioas(Ioas& ioas, Change change) {
  const schedule::Lock lock(ioas.mutex);
  for (HwptPaging* hwpt : ioas.hwpts) {
    if (!hwpt->auto_domain || !context_.objects().lock_object(*hwpt)) continue;
    const Using<HwptPaging> held(context_.objects(), *hwpt);
    auto changed = change_to_hwpt(*hwpt, change);
    // EINVAL: this one does not fit the device; another may.
    if (changed.has_value() || changed.error().code != Errno::kInval) return changed;
  }
  TEEIO_ASSIGN(auto hwpt, HwptPaging::create(context_, ioas, *this, 0));
  TEEIO_ASSIGN(const Changed changed, change_to_hwpt(*hwpt, change));
  hwpt->auto_domain = true;
  hwpt.commit();
  return changed;
}

// iommufd_hw_pagetable_attach()
Result<void> Idevice::do_attach(HwptPaging& hwpt) {
  const schedule::Lock lock(group_->lock);
  if (group_->attached.contains(id())) return fail(Errno::kBusy, "the device is attached already");
  if (group_->hwpt != nullptr && group_->hwpt != &hwpt)
    return fail(Errno::kInval, "the device's group is attached to another HWPT");
  if (&hwpt.domain().iommu() != &device_.iommu())
    return fail(Errno::kInval, "the HWPT was made for another IOMMU");
  TEEIO_TRY(hwpt.ioas().iopt.reserve_for_device(&device_, device_.iommu().reserved_regions()));
  if (group_->hwpt == nullptr) {
    device_.iommu().attach(group_->number(), hwpt.domain());
    group_->hwpt = &hwpt;
  }
  hwpt.add_user();
  group_->attached.emplace(id(), this);
  return {};
}

Result<void> Idevice::reserve_for_members(HwptPaging& hwpt) {
  for (const auto& [member_id, member] : group_->attached) {
    auto reserved = hwpt.ioas().iopt.reserve_for_device(&member->device_,
                                                        member->device_.iommu().reserved_regions());
    if (reserved.has_value()) continue;
    unreserve_for_members(hwpt);
    return reserved;
  }
  return {};
}

void Idevice::unreserve_for_members(HwptPaging& hwpt) {
  for (const auto& [member_id, member] : group_->attached)
    hwpt.ioas().iopt.unreserve(&member->device_);
}

// iommufd_device_do_replace()
Result<HwptPaging*> Idevice::do_replace(HwptPaging& hwpt) {
  const schedule::Lock lock(group_->lock);
  if (!group_->attached.contains(id())) return fail(Errno::kInval, "the device is not attached");
  HwptPaging* const old = group_->hwpt;
  if (old == &hwpt) return nullptr;
  if (&hwpt.domain().iommu() != &device_.iommu())
    return fail(Errno::kInval, "the HWPT was made for another IOMMU");
  const bool other_ioas = &hwpt.ioas() != &old->ioas();
  if (other_ioas) TEEIO_TRY(reserve_for_members(hwpt));
  device_.iommu().attach(group_->number(), hwpt.domain());
  if (other_ioas) unreserve_for_members(*old);
  group_->hwpt = &hwpt;
  // Every member's user moves over; the last of the old ones is the caller's.
  for (std::size_t i = 0; i < group_->attached.size(); ++i) hwpt.add_user();
  for (std::size_t i = 1; i < group_->attached.size(); ++i) old->drop_user();
  return old;
}

void Idevice::put_hwpt(HwptPaging& hwpt) {
  if (hwpt.auto_domain)
    context_.objects().put_and_try_destroy(hwpt);
  else
    hwpt.drop_user();
}

// iommufd_hw_pagetable_detach()
void Idevice::detach() {
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_detach", {.function = device_.bdf()});
  HwptPaging* hwpt = nullptr;
  {
    const schedule::Lock lock(group_->lock);
    TEEIO_CHECK(group_->attached.erase(id()) == 1, "a device is detached that is not attached");
    hwpt = group_->hwpt;
    if (group_->attached.empty()) {
      device_.iommu().detach(group_->number());
      group_->hwpt = nullptr;
    }
    hwpt->ioas().iopt.unreserve(&device_);
  }
  put_hwpt(*hwpt);
  drop_user();
}

Result<void> Idevice::tsm_bind(ObjectId vdevice_id) {
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_tsm_bind", {.function = device_.bdf()});
  auto bound = [&]() -> Result<void> {
    TEEIO_ASSIGN(const auto vdevice, find<Vdevice>(context_.objects(), vdevice_id));
    const schedule::Lock lock(group_->lock);
    if (vdevice->idevice() != this) return fail(Errno::kInval, "the vDEVICE is another device's");
    if (tsm_vdevice_ != nullptr) return fail(Errno::kExist, "the device is bound already");
    TEEIO_TRY(vdevice->tsm_bind(Door::kVfio));
    tsm_vdevice_ = vdevice.get();
    tsm_vdevice_->add_user();  // IOMMU_DESTROY says EBUSY until tsm_unbind()
    return {};
  }();
  if (!bound.has_value()) call.refuse(bound.error());
  return bound;
}

void Idevice::tsm_unbind() {
  if (schedule::seeded(schedule::SeededBug::kUnbindLeaksLock) && tsm_vdevice_ == nullptr)
    return leave_locked(group_->lock);
  const schedule::Lock lock(group_->lock);
  if (tsm_vdevice_ == nullptr) return;
  auto call = context_.trace().call(Lane::kIommufd, "iommufd_device_tsm_unbind",
                                    {.function = device_.bdf()});
  tsm_vdevice_->tsm_unbind();
  tsm_vdevice_->drop_user();
  tsm_vdevice_ = nullptr;
}

void Group::last_put() {
  context_.group_released(*this);
  delete this;
}

}  // namespace teeio::iommufd
