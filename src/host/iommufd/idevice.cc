#include "host/iommufd/idevice.h"

#include "base/check.h"
#include "host/iommufd/context.h"
#include "host/iommufd/vdevice.h"
#include "schedule/fault_point.h"
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
  TEEIO_TRY(schedule::allocate("a group"));
  object::Ref<Group> group = context_.group(device_.iommu_group());
  TEEIO_TRY(device_.iommu().claim_dma_owner(group->number(), &context_));
  group_ = std::move(group);
  if (device_.holds_context()) context_file_ = object::Ref<object::File>::share(context_);
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
    for (const auto& [pasid, attachment] : group_->attachments)
      TEEIO_CHECK(!attachment.devices.contains(id()), "a device is unbound while it is attached");
  }
  device_.iommu().release_dma_owner(group_->number());
  context_.trace().fact(Lane::kIommufd, Fact::kIdeviceDestroyed, "idevice",
                        {.function = device_.bdf(), .a = serial()});
  group_.reset();
  context_file_.reset();
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
  const auto unbound = [this]() TEEIO_NO_THREAD_SAFETY_ANALYSIS { return tsm_vdevice_ == nullptr; };
  if (schedule::seeded("unbind-leaks-lock") && unbound()) return leave_locked(group_->lock);
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
