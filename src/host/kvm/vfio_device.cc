#include "host/kvm/vfio_device.h"

#include <algorithm>

#include "base/check.h"
#include "schedule/seeded_bug.h"

namespace teeio::kvm {
namespace {

VfioAssociation& association(object::File& file) {
  auto* vfio = dynamic_cast<VfioAssociation*>(&file);
  TEEIO_CHECK(vfio != nullptr, "a VFIO file does not answer to KVM");
  return *vfio;
}

}  // namespace

Result<object::Ref<object::File>> VfioDevice::create(VmFile& file) {
  TEEIO_TRY(file.vm().claim_vfio_device());
  return object::Ref<object::File>(object::Ref<VfioDevice>::adopt(new VfioDevice(file)));
}

Result<void> VfioDevice::add(mm::Caller& caller, std::int32_t fd) {
  TEEIO_ASSIGN(object::Ref<object::File> file, caller.file(fd));
  if (file->kind() != object::FileKind::kVfioDevice && file->kind() != object::FileKind::kVfioGroup)
    return fail(Errno::kInval, "the descriptor is no VFIO file");
  const schedule::Lock lock(lock_);
  if (std::find(files_.begin(), files_.end(), file) != files_.end())
    return fail(Errno::kExist, "the VFIO file was added already");
  association(*file).set_vm(vm_.get());
  files_.push_back(std::move(file));
  // The VFIO file's reference on KVM's, to be put at a release that never comes.
  if (schedule::seeded("kvm-vfio-cycle")) add_ref();
  return {};
}

Result<void> VfioDevice::remove(mm::Caller& caller, std::int32_t fd) {
  TEEIO_ASSIGN(object::Ref<object::File> file, caller.file(fd));
  const schedule::Lock lock(lock_);
  const auto at = std::find(files_.begin(), files_.end(), file);
  if (at == files_.end()) return fail(Errno::kNoEnt, "the VFIO file was not added");
  association(*file).set_vm(nullptr);
  files_.erase(at);
  return {};
}

void VfioDevice::release() {
  auto call = vm_->trace().call(object::Lane::kKvm, "kvm_vfio_release", {.vm = vm_->number()});
  std::vector<object::Ref<object::File>> files;
  {
    const schedule::Lock lock(lock_);
    files.swap(files_);
    for (const object::Ref<object::File>& file : files) association(*file).set_vm(nullptr);
  }
  files.clear();
  vm_->release_vfio_device();
  vm_.reset();
  host_vm_.reset();
}

}  // namespace teeio::kvm
