#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/dispatch.h"
#include "host/kvm/kvm.h"
#include "host/sysfs/system.h"

// KVM is the host's own: what of its interface is answered here all the same.

namespace teeio::entry {

Result<object::Ref<object::File>> Dispatch::stand_in(mm::Caller& caller, std::int32_t fd,
                                                     std::uint32_t command,
                                                     std::uint64_t argument) {
  if (system_.has_kvm() || command != KVM_CREATE_DEVICE) return object::Ref<object::File>();
  const object::DelayedPuts puts;
  const object::OriginScope origin(
      {.pid = caller.pid(), .tid = caller.tid(), .call = "KVM_CREATE_DEVICE"});
  const auto device = copy_in<abi::kvm_create_device>(caller.memory(), argument);
  // Other devices, and addresses that cannot be read, are the kernel's.
  if (!device || device->type != abi::KVM_DEV_TYPE_VFIO) return object::Ref<object::File>();
  TEEIO_ASSIGN(const object::Ref<object::File> file, caller.file(fd));
  if (file->kind() != object::FileKind::kForeign) return object::Ref<object::File>();
  auto& real = static_cast<mm::ForeignFile&>(*file);
  TEEIO_ASSIGN(const bool vm, real.is_host_vm());
  if (!vm) return object::Ref<object::File>();
  return host_.kvm.host_vm(object::Ref<mm::ForeignFile>::share(real), caller.mm_id());
}

}  // namespace teeio::entry
