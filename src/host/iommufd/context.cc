#include "host/iommufd/context.h"

#include "host/iommufd/hwpt.h"
#include "host/iommufd/vdevice.h"
#include "host/iommufd/viommu.h"

namespace teeio::iommufd {
namespace {

/// IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED.
constexpr std::uint64_t kAtsNotSupported = std::uint64_t{1} << 3U;
/// enum iommu_vdevice_tsm_op_type.
constexpr std::uint32_t kTsmBind = 1;
constexpr std::uint32_t kTsmUnbind = 2;

}  // namespace

object::Ref<Context> Context::open(Environment& environment) {
  return object::Ref<Context>::adopt(new Context(environment));
}

// Serials of two contexts never meet: each context has its own 2^32 of them.
Context::Context(Environment& environment)
    : File(object::FileKind::kIommu),
      environment_(environment),
      objects_(environment.trace,
               (std::uint64_t{environment.next_context.fetch_add(1)} << 32U) + 1) {}

void Context::release() {
  auto call = trace().call(object::Lane::kIommufd, "iommufd_fops_release");
  objects_.release_all();
}

Result<void> Context::destroy(ObjectId id) {
  const object::DelayedPuts scope;
  return objects_.destroy(id);
}

object::Ref<Group> Context::group(std::uint32_t number) {
  const schedule::Lock lock(groups_lock_);
  Group*& slot = groups_[number];
  if (slot != nullptr && slot->add_ref_unless_zero()) return object::Ref<Group>::adopt(slot);
  auto made = object::make_ref<Group>(*this, number);
  slot = made.get();
  return made;
}

void Context::group_released(const Group& group) {
  const schedule::Lock lock(groups_lock_);
  const auto at = groups_.find(group.number());
  if (at != groups_.end() && at->second == &group) groups_.erase(at);
}

Result<ObjectId> Context::hwpt_alloc(const HwptAlloc& alloc) {
  if ((alloc.data_type == 0) != (alloc.data_length == 0))
    return fail(Errno::kInval, "HWPT data and its type come together");
  TEEIO_ASSIGN(const auto idevice, find<Idevice>(objects_, alloc.dev_id));
  auto object = objects_.get(alloc.pt_id, ObjectType::kAny);
  if (!object.has_value()) return fail(Errno::kInval, "no iommufd object has the pt_id");
  const Using<Object> pt(objects_, **object);
  if (pt->type() == ObjectType::kHwptPaging || pt->type() == ObjectType::kViommu)
    return fail(Errno::kOpNotSupp, "the IOMMU makes no nested HWPT");
  if (pt->type() != ObjectType::kIoas)
    return fail(Errno::kInval, "a HWPT is made from an IOAS, a HWPT or a vIOMMU");
  if (alloc.data_length != 0)
    return fail(Errno::kOpNotSupp, "a paging HWPT takes no data of the IOMMU's");
  auto& ioas = static_cast<Ioas&>(*pt);
  const schedule::Lock lock(ioas.mutex);
  TEEIO_ASSIGN(auto hwpt, HwptPaging::create(*this, ioas, *idevice, alloc.flags));
  if ((alloc.flags & HwptPaging::kFaultIdValid) != 0)
    return fail(Errno::kNoEnt, "no fault queue has the fault_id");
  return hwpt.commit().id();
}

Result<void> Context::hwpt_invalidate(ObjectId id) {
  TEEIO_ASSIGN(Object * object, objects_.get(id, ObjectType::kAny));
  const Using<Object> pt(objects_, *object);
  if (pt->type() == ObjectType::kViommu)
    return fail(Errno::kOpNotSupp, "the vIOMMU has no cache of the guest's tables");
  return fail(Errno::kInval, "only a nested HWPT or a vIOMMU caches the guest's tables");
}

Result<void> Context::hwpt_set_dirty_tracking(ObjectId hwpt_id) {
  TEEIO_ASSIGN(const auto hwpt, find<HwptPaging>(objects_, hwpt_id));
  return fail(Errno::kOpNotSupp, "the IOMMU does not track dirty pages");
}

// iommufd_check_iova_range()
Result<void> Context::hwpt_get_dirty_bitmap(ObjectId hwpt_id, const DirtyRange& range) {
  TEEIO_ASSIGN(const auto hwpt, find<HwptPaging>(objects_, hwpt_id));
  if (range.length == 0) return fail(Errno::kInval, "length is zero");
  if (range.length - 1 > IoPagetable::kLastIova - range.iova)
    return fail(Errno::kOverflow, "the range passes the last IOVA");
  const auto misaligned = [&](std::uint64_t size) {
    return ((range.iova | (range.iova + range.length)) & (size - 1)) != 0;
  };
  if (misaligned(hwpt->ioas().iopt.alignment()))
    return fail(Errno::kInval, "the range is not aligned as the IOMMU needs it");
  if (range.page_size == 0 || misaligned(range.page_size))
    return fail(Errno::kInval, "the range is no multiple of its page size");
  return fail(Errno::kOpNotSupp, "the IOMMU does not track dirty pages");
}

Result<Context::HwInfo> Context::hw_info(ObjectId dev_id, std::uint32_t type) {
  TEEIO_ASSIGN(const auto idevice, find<Idevice>(objects_, dev_id));
  TEEIO_ASSIGN(auto info, idevice->device().iommu().hw_info(type));
  return HwInfo{std::move(info), kAtsNotSupported};
}

Result<ObjectId> Context::viommu_alloc(const ViommuAlloc& alloc) {
  if (alloc.flags != 0) return fail(Errno::kOpNotSupp, "unknown vIOMMU flag");
  if (alloc.type == Viommu::kTypeDefault)
    return fail(Errno::kOpNotSupp, "there is no vIOMMU of the default type");
  TEEIO_ASSIGN(const auto idevice, find<Idevice>(objects_, alloc.dev_id));
  if (alloc.type != Viommu::kTypeTsm || tsm() == nullptr)
    return fail(Errno::kOpNotSupp, "the IOMMU has no vIOMMU of this type");
  TEEIO_ASSIGN(const auto hwpt, find<HwptPaging>(objects_, alloc.hwpt_id));
  if (!hwpt->nest_parent())
    return fail(Errno::kInval, "the HWPT was not allocated as a nest parent");
  TEEIO_ASSIGN(auto viommu, Viommu::create(*this, *idevice, *hwpt));
  return viommu.commit().id();
}

Result<void> Context::check_viommu(ObjectId viommu_id) {
  TEEIO_TRY(find<Viommu>(objects_, viommu_id));
  return {};
}

Result<ObjectId> Context::vdevice_alloc(ObjectId viommu_id, ObjectId dev_id,
                                        std::uint64_t virt_id) {
  TEEIO_ASSIGN(const auto viommu, find<Viommu>(objects_, viommu_id));
  TEEIO_ASSIGN(auto idevice, find<Idevice>(objects_, dev_id));
  if (&viommu->iommu() != &idevice->device().iommu())
    return fail(Errno::kInval, "the vIOMMU belongs to another IOMMU than the device");
  TEEIO_ASSIGN(const ObjectId id, Vdevice::create(*this, *viommu, *idevice, virt_id));
  if (vdevice_holds_idevice()) (void)idevice.keep();
  return id;
}

Result<void> Context::vdevice_tsm_op(ObjectId vdevice_id, std::uint32_t type, std::uint32_t flags) {
  if (flags != 0) return fail(Errno::kOpNotSupp, "unknown TSM_OP flag");
  TEEIO_ASSIGN(const auto vdevice, find<Vdevice>(objects_, vdevice_id));
  TEEIO_TRY(vdevice->required_vm(Door::kIommufd));
  if (type == kTsmBind) return vdevice->tsm_bind(Door::kIommufd);
  if (type != kTsmUnbind) return fail(Errno::kInval, "TSM_OP binds or unbinds");
  vdevice->tsm_unbind();
  return {};
}

Result<tsm::GuestResponse> Context::vdevice_tsm_request(ObjectId vdevice_id,
                                                        const tsm::GuestRequest& request,
                                                        std::uint64_t& code) {
  code = 0;
  if (!tsm::known(request.arch)) return fail(Errno::kInval, "unknown guest architecture");
  if (!tsm::known(request.op)) return fail(Errno::kInval, "unknown guest request");
  TEEIO_ASSIGN(const auto vdevice, find<Vdevice>(objects_, vdevice_id));
  return vdevice->tsm_request(request, code);
}

std::uint64_t Context::rlimit_mode() { return rlimit_mode_.load(); }

Result<void> Context::set_rlimit_mode(std::uint64_t value) {
  if (!objects_.empty()) return fail(Errno::kBusy, "the accounting is fixed by the first object");
  if (value > 1) return fail(Errno::kInval, "the accounting mode is 0 or 1");
  rlimit_mode_.store(value);
  return {};
}

}  // namespace teeio::iommufd
