#include <fcntl.h>

#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_handlers.h"
#include "host/kvm/kvm.h"
#include "host/kvm/vm_file.h"

// Linux virt/kvm/kvm_main.c, kvm_dev_ioctl().

namespace teeio::entry {
namespace {

kvm::Kvm& kvm_of(Call& call) { return static_cast<kvm::KvmFile&>(call.file).kvm(); }

/// The capabilities that the handlers keep; everything else is 0, "not there".
std::int64_t capability(std::uint64_t number, std::uint64_t vm_types, std::uint64_t attributes) {
  switch (number) {
    case KVM_CAP_USER_MEMORY:
    case KVM_CAP_USER_MEMORY2:
    case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
    case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
    case KVM_CAP_READONLY_MEM:
    case KVM_CAP_DEVICE_CTRL:
    case KVM_CAP_CHECK_EXTENSION_VM:
    case KVM_CAP_IMMEDIATE_EXIT:
    case KVM_CAP_GUEST_MEMFD:
    case KVM_CAP_MEMORY_FAULT_INFO:
    case KVM_CAP_INTERNAL_ERROR_DATA:
    case KVM_CAP_PRE_FAULT_MEMORY:
      return 1;
    case KVM_CAP_NR_MEMSLOTS:
      return kvm::kUserMemSlots;
    case KVM_CAP_NR_VCPUS:
      return 1;
    case KVM_CAP_MAX_VCPUS:
    case KVM_CAP_MAX_VCPU_ID:
      return 1024;
    case KVM_CAP_VM_TYPES:
      return static_cast<std::int64_t>(vm_types);
    case KVM_CAP_MEMORY_ATTRIBUTES:
      return static_cast<std::int64_t>(attributes);
    default:
      return 0;
  }
}

}  // namespace

Result<std::int64_t> ioctl_get_api_version(Call& call) {
  if (call.argument != 0) return fail(Errno::kInval, "KVM_GET_API_VERSION takes no argument");
  return KVM_API_VERSION;
}

Result<std::int64_t> ioctl_create_vm(Call& call) {
  TEEIO_ASSIGN(object::Ref<object::File> file,
               kvm_of(call).create_vm(call.argument, call.caller.mm_id()));
  return call.caller.install(std::move(file), O_RDWR | O_CLOEXEC);
}

Result<std::int64_t> ioctl_check_extension(Call& call) {
  constexpr std::uint64_t kPrivateAttribute = 8;
  return capability(call.argument, kvm_of(call).types(), kPrivateAttribute);
}

Result<std::int64_t> ioctl_get_vcpu_mmap_size(Call& call) {
  if (call.argument != 0) return fail(Errno::kInval, "KVM_GET_VCPU_MMAP_SIZE takes no argument");
  return kVcpuMmapSize;
}

Result<std::int64_t> ioctl_vm_check_extension(Call& call) {
  kvm::Vm& vm = static_cast<kvm::VmFile&>(call.file).vm();
  return capability(call.argument, vm.kvm().types(), vm.supported_attributes());
}

}  // namespace teeio::entry
