#include "host/iommufd/viommu.h"

#include "base/check.h"
#include "host/iommufd/context.h"
#include "host/iommufd/idevice.h"

namespace teeio::iommufd {

Viommu::Viommu(Context& context, Idevice& idevice, HwptPaging& hwpt)
    : Object(kType), context_(context), iommu_(idevice.device().iommu()), hwpt_(hwpt) {
  hwpt_.add_user();
}

Result<NewObject<Viommu>> Viommu::create(Context& context, Idevice& idevice, HwptPaging& hwpt) {
  TEEIO_ASSIGN(auto viommu,
               NewObject<Viommu>::reserve(context.objects(), new Viommu(context, idevice, hwpt)));
  const VmHandle vm = idevice.vm();
  if (vm.file != nullptr && context.viommu_holds_vm())
    viommu->vm_file_ = object::Ref<object::File>::share(*vm.file);
  context.trace().fact(object::Lane::kIommufd, object::Fact::kViommuCreated, "viommu",
                       {.vm = vm.number, .a = viommu->serial()});
  viommu->created_ = true;
  return viommu;
}

Result<void> Viommu::reserve_virt_id(std::uint64_t virt_id) {
  const schedule::Lock lock(vdevs_lock_);
  if (!vdevs_.emplace(virt_id, nullptr).second)
    return fail(Errno::kExist, "the vIOMMU has a vDEVICE with this virtual id");
  return {};
}

void Viommu::set_vdevice(std::uint64_t virt_id, Vdevice* vdevice) {
  const schedule::Lock lock(vdevs_lock_);
  vdevs_[virt_id] = vdevice;
}

void Viommu::release_virt_id(std::uint64_t virt_id) {
  const schedule::Lock lock(vdevs_lock_);
  vdevs_.erase(virt_id);
}

void Viommu::destroy() {
  if (created_)
    context_.trace().fact(object::Lane::kIommufd, object::Fact::kViommuDestroyed, "viommu",
                          {.a = serial()});
  hwpt_.drop_user();
  vm_file_.reset();
}

}  // namespace teeio::iommufd
