#include "host/iommufd/vdevice.h"

#include "base/check.h"
#include "host/iommufd/context.h"
#include "host/iommufd/idevice.h"
#include "schedule/races.h"
#include "schedule/seeded_bug.h"

namespace teeio::iommufd {

Vdevice::Vdevice(Context& context, Viommu& viommu, Idevice& idevice, std::uint64_t virt_id)
    : Object(kType),
      context_(context),
      viommu_(viommu),
      bdf_(idevice.bdf()),
      group_(object::Ref<Group>::share(idevice.group())),
      idevice_(&idevice),
      virt_id_(virt_id) {
  viommu_.add_user();
}

Result<ObjectId> Vdevice::create(Context& context, Viommu& viommu, Idevice& idevice,
                                 std::uint64_t virt_id) {
  const bool looked_early = schedule::seeded("two-vdevices");
  const auto has_one_now = [&idevice]() TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    const schedule::Unwatched race_on_purpose;
    return idevice.vdevice_ != nullptr;
  };
  const bool had_one_early = looked_early && has_one_now();
  const schedule::Lock lock(idevice.group().lock);
  idevice.group_->lock.assert_held();  // the same
  if (idevice.destroying_) return fail(Errno::kNoEnt, "the device is being unbound");
  const bool has_one = looked_early ? had_one_early : idevice.vdevice_ != nullptr;
  if (has_one) return fail(Errno::kExist, "the device has a vDEVICE already");
  TEEIO_ASSIGN(auto vdevice,
               NewObject<Vdevice>::reserve(context.objects(),
                                           new Vdevice(context, viommu, idevice, virt_id)));
  idevice.vdevice_ = &*vdevice;
  if (schedule::seeded("vdevice-visible-early")) context.objects().finalize(*vdevice);
  TEEIO_TRY(viommu.reserve_virt_id(virt_id));
  vdevice->has_virt_id_ = true;
  viommu.set_vdevice(virt_id, *vdevice, idevice.group().number());
  context.trace().fact(object::Lane::kIommufd, object::Fact::kVdeviceCreated, "vdevice",
                       {.function = idevice.bdf(),
                        .a = vdevice->serial(),
                        .b = idevice.serial(),
                        .c = viommu.serial()});
  // Before anybody finds it: a bind that fails leaves no vDEVICE.
  if (viommu.driver() == nullptr && context.admit(Door::kVdevice))
    TEEIO_TRY(vdevice->tsm_bind(Door::kVdevice));
  if (schedule::seeded("vdevice-visible-early")) return vdevice.leave().id();
  return vdevice.commit().id();
}

object::Ref<object::File> Vdevice::vm_file() const {
  if (context_.viommu_holds_vm()) return viommu_.vm_file();
  object::File* file = idevice_ == nullptr ? nullptr : idevice_->vm().file;
  return file == nullptr ? nullptr : object::Ref<object::File>::share(*file);
}

tsm::PciTsm& Vdevice::tsm() const {
  TEEIO_CHECK(context_.tsm() != nullptr, "a vDEVICE is on a machine without a TSM");
  return *context_.tsm();
}

Result<object::Ref<object::File>> Vdevice::required_vm(Door door) const {
  if (viommu_.driver() != nullptr)
    return fail(Errno::kOpNotSupp, "a vDEVICE of this vIOMMU is nothing for a TSM");
  object::Ref<object::File> vm = vm_file();
  if (vm) return vm;
  return fail(door == Door::kVfio ? Errno::kNoEnt : Errno::kNoDev, "the vDEVICE has no VM");
}

Result<void> Vdevice::tsm_bind(Door door) {
  TEEIO_ASSIGN(const auto vm, required_vm(door));
  return tsm().bind(bdf(), vm.get(), static_cast<std::uint32_t>(virt_id_));
}

void Vdevice::tsm_unbind() { tsm().unbind(bdf()); }

tsm::GuestOutcome Vdevice::tsm_request(const tsm::GuestRequest& request) {
  if (viommu_.driver() != nullptr)
    return fail(Errno::kOpNotSupp, "a vDEVICE of this vIOMMU is nothing for a TSM");
  tsm::GuestOutcome outcome = tsm().guest_request(bdf(), request);
  const bool unbound = !outcome.payload && outcome.payload.error().code == Errno::kNxio;
  if (!unbound || !tsm::asks_to_lock(request) || !context_.admit(Door::kGuest)) return outcome;
  TEEIO_ASSIGN(const auto vm, required_vm(Door::kGuest));
  return tsm().bind_and_request(bdf(), vm.get(), static_cast<std::uint32_t>(virt_id_), request);
}

void Vdevice::abort() {
  group_->lock.assert_held();
  if (has_virt_id_) {
    // Before the vDEVICE is out of its vIOMMU: the driver still finds both.
    if (viommu_.driver() == nullptr) tsm_unbind();
    viommu_.release_virt_id(virt_id_);
    context_.trace().fact(object::Lane::kIommufd, object::Fact::kVdeviceDestroyed, "vdevice",
                          {.function = bdf(), .a = serial()});
  }
  viommu_.drop_user();
  if (idevice_ == nullptr) return;
  idevice_->group_->lock.assert_held();  // the same
  idevice_->vdevice_ = nullptr;
}

void Vdevice::destroy() {
  Idevice* idevice = nullptr;
  {
    const schedule::Lock lock(group_->lock);
    idevice = idevice_;
    abort();
  }
  if (context_.vdevice_holds_idevice() && idevice != nullptr) context_.objects().put(*idevice);
}

}  // namespace teeio::iommufd
