#include "host/iommufd/context.h"

#include "host/iommufd/vdevice.h"
#include "host/iommufd/viommu.h"

namespace teeio::iommufd {
namespace {

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
  if (const auto viommu = find<Viommu>(objects_, id); viommu && mappings_.in_use(**viommu))
    return fail(Errno::kBusy, "a program maps pages of the vIOMMU");
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

tsm::GuestOutcome Context::vdevice_tsm_request(ObjectId vdevice_id,
                                               const tsm::GuestRequest& request) {
  if (!tsm::known(request.arch)) return fail(Errno::kInval, "unknown guest architecture");
  if (!tsm::known(request.op)) return fail(Errno::kInval, "unknown guest request");
  TEEIO_ASSIGN(const auto vdevice, find<Vdevice>(objects_, vdevice_id));
  return vdevice->tsm_request(request);
}

std::uint64_t Context::rlimit_mode() { return charge_mode() == mm::Charges::Mode::kMm ? 1 : 0; }

Result<void> Context::set_rlimit_mode(std::uint64_t value) {
  if (!objects_.empty()) return fail(Errno::kBusy, "the accounting is fixed by the first object");
  if (value > 1) return fail(Errno::kInval, "the accounting mode is 0 or 1");
  charge_mode_.store(value == 0 ? mm::Charges::Mode::kUser : mm::Charges::Mode::kMm);
  return {};
}

}  // namespace teeio::iommufd
