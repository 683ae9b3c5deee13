// HWPTs, vIOMMUs and queues of Context.
// Source: Linux drivers/iommu/iommufd/{hw_pagetable,eventq,viommu}.c.

#include <bit>

#include "host/iommufd/context.h"
#include "host/iommufd/fault_queue.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/veventq.h"
#include "host/iommufd/viommu.h"
#include "schedule/fault_point.h"

namespace teeio::iommufd {
namespace {

// enum iommufd_hw_capabilities.
constexpr std::uint64_t kCapDirtyTracking = 1;
constexpr std::uint64_t kCapAtsNotSupported = 8;

}  // namespace

// The last part of iommufd_hwpt_alloc(): the queue is looked for when the HWPT is made.
template <class T>
static Result<ObjectId> finish_hwpt(ObjectTable& objects, NewObject<T> hwpt,
                                    const Context::HwptAlloc& alloc) {
  if ((alloc.flags & Hwpt::kFaultIdValid) != 0) {
    auto queue = find<FaultQueue>(objects, alloc.fault_id);
    if (!queue) return fail(Errno::kNoEnt, "no fault queue has the fault_id");
    hwpt->set_fault_queue(**queue);
  }
  return hwpt.commit().id();
}

Result<ObjectId> Context::hwpt_alloc(const HwptAlloc& alloc, iommu::UserData& data) {
  if ((data.type() == 0) != (data.length() == 0))
    return fail(Errno::kInval, "HWPT data and its type come together");
  TEEIO_ASSIGN(const auto idevice, find<Idevice>(objects_, alloc.dev_id));
  auto object = objects_.get(alloc.pt_id, ObjectType::kAny);
  if (!object.has_value()) return fail(Errno::kInval, "no iommufd object has the pt_id");
  const Using<Object> pt(objects_, **object);
  if (pt->type() == ObjectType::kHwptPaging) {
    auto& parent = static_cast<HwptPaging&>(*pt);
    TEEIO_ASSIGN(auto hwpt, HwptNested::create(*this, parent, *idevice, alloc.flags, data));
    return finish_hwpt(objects_, std::move(hwpt), alloc);
  }
  if (pt->type() == ObjectType::kViommu) {
    auto& viommu = static_cast<Viommu&>(*pt);
    if (&viommu.iommu() != &idevice->device().iommu())
      return fail(Errno::kInval, "the vIOMMU belongs to another IOMMU than the device");
    TEEIO_ASSIGN(auto hwpt, HwptNested::create(*this, viommu, alloc.flags, data));
    return finish_hwpt(objects_, std::move(hwpt), alloc);
  }
  if (pt->type() != ObjectType::kIoas)
    return fail(Errno::kInval, "a HWPT is made from an IOAS, a HWPT or a vIOMMU");
  auto& ioas = static_cast<Ioas&>(*pt);
  const schedule::Lock lock(ioas.mutex);
  TEEIO_ASSIGN(auto hwpt, HwptPaging::create(*this, ioas, *idevice, alloc.flags,
                                             data.length() == 0 ? nullptr : &data));
  return finish_hwpt(objects_, std::move(hwpt), alloc);
}

Result<void> Context::hwpt_invalidate(ObjectId id, iommu::UserData& commands, std::uint32_t& done) {
  TEEIO_ASSIGN(Object * object, objects_.get(id, ObjectType::kAny));
  const Using<Object> pt(objects_, *object);
  if (pt->type() == ObjectType::kHwptNested)
    return static_cast<HwptNested&>(*pt).domain().invalidate(commands, done);
  if (pt->type() != ObjectType::kViommu)
    return fail(Errno::kInval, "only a nested HWPT or a vIOMMU caches the guest's tables");
  iommu::VirtualIommu* const driver = static_cast<Viommu&>(*pt).driver();
  if (driver == nullptr)
    return fail(Errno::kOpNotSupp, "the vIOMMU has no cache of the guest's tables");
  return driver->invalidate(commands, done);
}

Result<void> Context::hwpt_set_dirty_tracking(ObjectId hwpt_id, bool on) {
  TEEIO_ASSIGN(const auto hwpt, find<HwptPaging>(objects_, hwpt_id));
  return hwpt->ioas().iopt.set_dirty_tracking(hwpt->domain(), on);
}

Result<void> Context::hwpt_read_dirty(ObjectId hwpt_id, const IoPagetable::DirtyRange& range,
                                      iommu::DirtyTracking::Clear clear,
                                      iommu::DirtyTracking::Visitor& visitor) {
  TEEIO_ASSIGN(const auto hwpt, find<HwptPaging>(objects_, hwpt_id));
  return hwpt->ioas().iopt.read_dirty(hwpt->domain(), range, clear, visitor);
}

Result<Context::NewQueue> Context::fault_queue_alloc() {
  TEEIO_ASSIGN(auto queue, NewObject<FaultQueue>::reserve(objects_, new FaultQueue));
  TEEIO_ASSIGN(auto file, EventQueueFile::create(*this, *queue));
  return NewQueue{queue.commit().id(), std::move(file)};
}

Result<Context::NewQueue> Context::veventq_alloc(ObjectId viommu_id, std::uint32_t type,
                                                 std::uint32_t depth) {
  TEEIO_ASSIGN(const auto viommu, find<Viommu>(objects_, viommu_id));
  if (viommu->driver() == nullptr) return fail(Errno::kOpNotSupp, "the vIOMMU reports no events");
  TEEIO_ASSIGN(auto queue, viommu->make_veventq(type, depth));
  TEEIO_ASSIGN(auto file, EventQueueFile::create(*this, *queue));
  return NewQueue{queue.commit().id(), std::move(file)};
}

void Context::take_back(NewQueue& queue) {
  queue.file->disown();
  (void)objects_.destroy(queue.id);
}

Result<ObjectId> Context::hw_queue_alloc(ObjectId viommu_id, const HwQueue::Request& request) {
  TEEIO_ASSIGN(const auto viommu, find<Viommu>(objects_, viommu_id));
  TEEIO_ASSIGN(auto queue, HwQueue::create(*this, *viommu, request));
  return queue.commit().id();
}

Result<Context::HwInfo> Context::hw_info(ObjectId dev_id, std::uint32_t type) {
  TEEIO_ASSIGN(const auto idevice, find<Idevice>(objects_, dev_id));
  iommu::Iommu& iommu = idevice->device().iommu();
  const std::uint32_t group = idevice->device().iommu_group();
  TEEIO_TRY(schedule::allocate("what the IOMMU says of itself"));
  TEEIO_ASSIGN(auto info, iommu.hw_info(type));
  const std::uint32_t pasids = iommu.max_pasids(group);
  return HwInfo{
      .iommu = std::move(info),
      .capabilities = kCapAtsNotSupported | (iommu.tracks_dirty(group) ? kCapDirtyTracking : 0),
      .max_pasid_log2 = static_cast<std::uint8_t>(pasids == 0 ? 0 : std::bit_width(pasids) - 1)};
}

Result<ObjectId> Context::viommu_alloc(const ViommuAlloc& alloc, iommu::UserData& data) {
  if (alloc.flags != 0) return fail(Errno::kOpNotSupp, "unknown vIOMMU flag");
  if (alloc.type == Viommu::kTypeDefault)
    return fail(Errno::kOpNotSupp, "there is no vIOMMU of the default type");
  TEEIO_ASSIGN(const auto idevice, find<Idevice>(objects_, alloc.dev_id));
  const bool drivers = idevice->device().iommu().has_virtual_iommu(alloc.type);
  if (!drivers && (alloc.type != Viommu::kTypeTsm || tsm() == nullptr))
    return fail(Errno::kOpNotSupp, "the IOMMU has no vIOMMU of this type");
  TEEIO_ASSIGN(const auto hwpt, find<HwptPaging>(objects_, alloc.hwpt_id));
  if (!hwpt->nest_parent())
    return fail(Errno::kInval, "the HWPT was not allocated as a nest parent");
  if (drivers) {
    iommu::UserData* const given = data.length() == 0 ? nullptr : &data;
    TEEIO_ASSIGN(auto viommu, Viommu::create(*this, *idevice, *hwpt, alloc.type, given));
    return viommu.commit().id();
  }
  TEEIO_ASSIGN(auto viommu, Viommu::create(*this, *idevice, *hwpt));
  return viommu.commit().id();
}

}  // namespace teeio::iommufd
