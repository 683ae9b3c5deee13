// What a device, or a PASID of it, is attached to.
// Source: Linux drivers/iommu/iommufd/device.c.

#include "base/check.h"
#include "host/iommufd/context.h"
#include "host/iommufd/fault_queue.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/idevice.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {

using object::Lane;

Result<ObjectId> Idevice::attach(ObjectId pt_id, std::uint32_t pasid) {
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_attach", {.function = device_.bdf()});
  auto hwpt_id = change_pt(pt_id, pasid, Change::kAttach);
  if (!hwpt_id.has_value())
    call.refuse(hwpt_id.error());
  else
    add_user();  // catches an unbind of an attached device
  return hwpt_id;
}

Result<ObjectId> Idevice::replace(ObjectId pt_id, std::uint32_t pasid) {
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_replace", {.function = device_.bdf()});
  auto hwpt_id = change_pt(pt_id, pasid, Change::kReplace);
  if (!hwpt_id.has_value()) call.refuse(hwpt_id.error());
  return hwpt_id;
}

Result<ObjectId> Idevice::change_pt(ObjectId pt_id, std::uint32_t pasid, Change change) {
  ObjectTable& objects = context_.objects();
  Result<Changed> changed;
  {
    TEEIO_ASSIGN(Object * object, objects.get(pt_id, ObjectType::kAny));
    const Using<Object> pt(objects, *object);
    if (Hwpt* hwpt = Hwpt::of(*pt); hwpt != nullptr)
      changed = change_to_hwpt(*hwpt, pasid, change);
    else if (pt->type() == ObjectType::kIoas)
      changed = change_to_ioas(static_cast<Ioas&>(*pt), pasid, change);
    else
      return fail(Errno::kInval, "a device attaches to an IOAS or a HWPT only");
  }
  if (!changed.has_value()) return std::unexpected(changed.error());
  if (changed->old != nullptr) put_hwpt(*changed->old);  // may destroy it: after all locks
  return changed->hwpt_id;
}

Result<Idevice::Changed> Idevice::change_to_hwpt(Hwpt& hwpt, std::uint32_t pasid, Change change) {
  if (change == Change::kReplace) {
    TEEIO_ASSIGN(Hwpt * old, do_replace(hwpt, pasid));
    return Changed{hwpt.id(), old};
  }
  TEEIO_TRY(do_attach(hwpt, pasid));
  return Changed{hwpt.id(), nullptr};
}

// iommufd_device_auto_get_domain(): any automatic HWPT that fits will do.
Result<Idevice::Changed> Idevice::change_to_ioas(Ioas& ioas, std::uint32_t pasid, Change change) {
  const schedule::Lock lock(ioas.mutex);
  for (HwptPaging* hwpt : ioas.hwpts) {
    if (!hwpt->auto_domain || !context_.objects().lock_object(*hwpt)) continue;
    const Using<HwptPaging> held(context_.objects(), *hwpt);
    auto changed = change_to_hwpt(*hwpt, pasid, change);
    // EINVAL: this one does not fit the device; another may.
    if (changed.has_value() || changed.error().code != Errno::kInval) return changed;
  }
  TEEIO_ASSIGN(auto hwpt, HwptPaging::create(context_, ioas, *this, 0, nullptr));
  TEEIO_ASSIGN(const Changed changed, change_to_hwpt(*hwpt, pasid, change));
  hwpt->auto_domain = true;
  hwpt.commit();
  return changed;
}

// iommufd_hwpt_pasid_compat()
Result<void> Idevice::check_pasid(const Hwpt& hwpt, std::uint32_t pasid) {
  if (hwpt.pasid_compatible()) {
    const Group::Attachment* own = pasid == kNoPasid ? nullptr : group_->at(kNoPasid);
    if (own == nullptr || own->hwpt->pasid_compatible()) return {};
    return fail(Errno::kInval, "the device itself uses a HWPT that was not made for PASIDs");
  }
  if (pasid == kNoPasid &&
      (group_->attachments.empty() || group_->attachments.rbegin()->first == kNoPasid))
    return {};
  return fail(Errno::kInval, "the HWPT was not made for PASIDs");
}

// iommufd_hwpt_attach_device(), iommufd_hwpt_replace_device()
Result<void> Idevice::attach_group(Hwpt& hwpt, std::uint32_t pasid) {
  if (&hwpt.attachable().iommu() != &device_.iommu())
    return fail(Errno::kInval, "the HWPT was made for another IOMMU");
  TEEIO_TRY(check_pasid(hwpt, pasid));
  TEEIO_TRY(schedule::allocate("an attachment"));
  if (pasid == kNoPasid) return device_.iommu().attach(group_->number(), hwpt.attachable());
  return device_.iommu().attach_pasid(group_->number(), pasid, hwpt.attachable());
}

// iommufd_hw_pagetable_attach()
Result<void> Idevice::do_attach(Hwpt& hwpt, std::uint32_t pasid) {
  const schedule::Lock lock(group_->lock);
  Group::Attachment* present = group_->at(pasid);
  if (present != nullptr && present->devices.contains(id()))
    return fail(Errno::kBusy, "the device is attached already");
  if (present != nullptr && present->hwpt != &hwpt)
    return fail(Errno::kInval, "the device's group is attached to another HWPT");
  IoPagetable& iopt = hwpt.paging().ioas().iopt;
  if (pasid == kNoPasid)
    TEEIO_TRY(iopt.reserve_for_device(&device_, device_.iommu().reserved_regions()));
  if (present == nullptr) {
    if (auto attached = attach_group(hwpt, pasid); !attached.has_value()) {
      if (pasid == kNoPasid) iopt.unreserve(&device_);
      return attached;
    }
    present = &group_->attachments[pasid];
    present->hwpt = &hwpt;
    present->handle = context_.next_attach_handle();
    present->made_by = id();
  }
  hwpt.add_user();
  present->devices.emplace(id(), this);
  return {};
}

Result<void> Idevice::reserve_for_members(HwptPaging& hwpt) {
  for (const auto& [member_id, member] : group_->at(kNoPasid)->devices) {
    auto reserved = hwpt.ioas().iopt.reserve_for_device(&member->device_,
                                                        member->device_.iommu().reserved_regions());
    if (reserved.has_value()) continue;
    unreserve_for_members(hwpt);
    return reserved;
  }
  return {};
}

void Idevice::unreserve_for_members(HwptPaging& hwpt) {
  for (const auto& [member_id, member] : group_->at(kNoPasid)->devices)
    hwpt.ioas().iopt.unreserve(&member->device_);
}

// iommufd_device_do_replace()
Result<Hwpt*> Idevice::do_replace(Hwpt& hwpt, std::uint32_t pasid) {
  const schedule::Lock lock(group_->lock);
  Group::Attachment* const present = group_->at(pasid);
  if (present == nullptr || !present->devices.contains(id()))
    return fail(Errno::kInval, "the device is not attached");
  Hwpt* const old = present->hwpt;
  if (old == &hwpt) return nullptr;
  const bool other_ioas = pasid == kNoPasid && &hwpt.paging().ioas() != &old->paging().ioas();
  if (other_ioas) TEEIO_TRY(reserve_for_members(hwpt.paging()));
  if (auto attached = attach_group(hwpt, pasid); !attached.has_value()) {
    if (other_ioas) unreserve_for_members(hwpt.paging());
    return std::unexpected(attached.error());
  }
  if (old->fault_queue() != nullptr) old->fault_queue()->answer_all_of(present->handle);
  if (other_ioas) unreserve_for_members(old->paging());
  present->hwpt = &hwpt;
  present->handle = context_.next_attach_handle();
  present->made_by = id();
  // Every member's user moves over; the last of the old ones is the caller's.
  for (std::size_t i = 0; i < present->devices.size(); ++i) hwpt.add_user();
  for (std::size_t i = 1; i < present->devices.size(); ++i) old->drop_user();
  return old;
}

// iommufd_hw_pagetable_put()
void Idevice::put_hwpt(Hwpt& hwpt) {
  if (hwpt.type() == ObjectType::kHwptPaging && static_cast<HwptPaging&>(hwpt).auto_domain)
    context_.objects().put_and_try_destroy(hwpt);
  else
    hwpt.drop_user();
}

// iommufd_hw_pagetable_detach()
void Idevice::detach(std::uint32_t pasid) {
  auto call =
      context_.trace().call(Lane::kIommufd, "iommufd_device_detach", {.function = device_.bdf()});
  Hwpt* hwpt = nullptr;
  {
    const schedule::Lock lock(group_->lock);
    Group::Attachment* const present = group_->at(pasid);
    if (present == nullptr || present->devices.erase(id()) == 0) return;
    hwpt = present->hwpt;
    if (present->devices.empty()) {
      if (pasid == kNoPasid)
        device_.iommu().detach(group_->number());
      else
        device_.iommu().detach_pasid(group_->number(), pasid);
      if (hwpt->fault_queue() != nullptr) hwpt->fault_queue()->answer_all_of(present->handle);
      group_->attachments.erase(pasid);
    }
    if (pasid == kNoPasid) hwpt->paging().ioas().iopt.unreserve(&device_);
  }
  put_hwpt(*hwpt);
  drop_user();
}

// find_fault_handler() of drivers/iommu/io-pgfault.c
bool Idevice::report_page_request(const PageRequest& request) {
  const schedule::Lock lock(group_->lock);
  const Group::Attachment* target = group_->at(request.pasid);
  if (target == nullptr && request.pasid != kNoPasid && device_.iommu().user_pasid_table()) {
    target = group_->at(kNoPasid);
    if (target != nullptr && target->hwpt->type() != ObjectType::kHwptNested) target = nullptr;
  }
  if (target == nullptr || target->hwpt->fault_queue() == nullptr) return false;
  target->hwpt->fault_queue()->deliver(target->handle, target->made_by, request);
  return true;
}

}  // namespace teeio::iommufd
