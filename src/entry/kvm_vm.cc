#include <fcntl.h>

#include <vector>

#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"
#include "host/kvm/gmem.h"
#include "host/kvm/vfio_device.h"
#include "host/kvm/vm_file.h"
#include "schedule/seeded_bug.h"

// Linux virt/kvm/kvm_main.c, kvm_vm_ioctl() and kvm_device_ioctl().

namespace teeio::entry {
namespace {

template <class T>
kvm::MemoryRegion region_of(const T& arg) {
  return {.slot = arg.slot,
          .flags = arg.flags,
          .guest_phys_addr = arg.guest_phys_addr,
          .memory_size = arg.memory_size,
          .userspace_addr = arg.userspace_addr};
}

}  // namespace

Result<std::int64_t> ioctl_create_vcpu(Call& call) {
  if (call.argument > 0xffffffffU) return fail(Errno::kInval, "the vCPU's number is too large");
  const auto id = static_cast<std::uint32_t>(call.argument);
  TEEIO_ASSIGN(object::Ref<object::File> file, vm_of(call).create_vcpu(id));
  const auto fd = call.caller.install(std::move(file), O_RDWR | O_CLOEXEC);
  if (!fd) vm_of(call).forget_vcpu(id);
  return fd;
}

Result<std::int64_t> ioctl_set_user_memory_region(Call& call) {
  using Arg = abi::kvm_userspace_memory_region;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  if ((arg.flags & (kvm::kMemGuestMemfd | kvm::kMemVfioDmabuf)) != 0)
    return fail(Errno::kInval, "the flag needs KVM_SET_USER_MEMORY_REGION2");
  TEEIO_TRY(vm_of(call).set_memory_region(call.caller, region_of(arg)));
  return 0;
}

Result<std::int64_t> ioctl_set_user_memory_region2(Call& call) {
  using Arg = abi::kvm_userspace_memory_region2;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  kvm::MemoryRegion region = region_of(arg);
  region.guest_memfd_offset = arg.guest_memfd_offset;
  region.guest_memfd = static_cast<std::int32_t>(arg.guest_memfd);
  TEEIO_TRY(vm_of(call).set_memory_region(call.caller, region));
  return 0;
}

Result<std::int64_t> ioctl_get_dirty_log(Call& call) {
  using Arg = abi::kvm_dirty_log;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  TEEIO_ASSIGN(const std::vector<std::uint64_t> bits, vm_of(call).dirty_log(arg.slot));
  TEEIO_TRY(call.memory().write(arg.dirty_bitmap, std::as_bytes(std::span(bits))));
  return 0;
}

Result<std::int64_t> ioctl_clear_dirty_log(Call& call) {
  using Arg = abi::kvm_clear_dirty_log;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  TEEIO_TRY(vm_of(call).check_dirty_range(arg.slot, arg.first_page, arg.num_pages));
  std::vector<std::uint64_t> mask((arg.num_pages + 63ULL) / 64);
  TEEIO_TRY(call.memory().read(arg.dirty_bitmap, std::as_writable_bytes(std::span(mask))));
  TEEIO_TRY(vm_of(call).clear_dirty_log(arg.slot, arg.first_page, arg.num_pages, mask));
  return 0;
}

Result<std::int64_t> ioctl_set_memory_attributes(Call& call) {
  using Arg = abi::kvm_memory_attributes;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  if (arg.flags != 0) return fail(Errno::kInval, "KVM_SET_MEMORY_ATTRIBUTES has no flags");
  TEEIO_TRY(vm_of(call).set_memory_attributes(Gpa{arg.address}, arg.size, arg.attributes));
  return 0;
}

Result<std::int64_t> ioctl_create_guest_memfd(Call& call) {
  using Arg = abi::kvm_create_guest_memfd;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  TEEIO_ASSIGN(object::Ref<object::File> file,
               kvm::Gmem::create(object::Ref<kvm::Vm>::share(vm_of(call)), arg.size, arg.flags));
  return call.caller.install(std::move(file), O_RDWR);  // not O_CLOEXEC, as in 7.3
}

Result<std::int64_t> ioctl_create_device(Call& call) {
  using Arg = abi::kvm_create_device;
  TEEIO_ASSIGN(Arg arg, copy_in<Arg>(call.memory(), call.argument));
  if (arg.type != abi::KVM_DEV_TYPE_VFIO) return fail(Errno::kNoDev, "KVM has no such device");
  if ((arg.flags & KVM_CREATE_DEVICE_TEST) != 0) return 0;
  TEEIO_ASSIGN(object::Ref<object::File> file,
               kvm::VfioDevice::create(static_cast<kvm::VmFile&>(call.file)));
  // The device's reference on its VM, when another thread may have closed the device already.
  const bool late = schedule::seeded("device-ref-late");
  if (late) vm_of(call).drop_ref();
  TEEIO_ASSIGN(const std::int32_t fd, call.caller.install(std::move(file), O_RDWR | O_CLOEXEC));
  if (late) vm_of(call).add_ref();
  arg.fd = static_cast<std::uint32_t>(fd);
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_set_device_attr(Call& call) {
  using Arg = abi::kvm_device_attr;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  // kvm_vfio_set_attr() looks at no flags.
  const bool add = arg.attr == KVM_DEV_VFIO_FILE_ADD;
  if (arg.group != KVM_DEV_VFIO_FILE || (!add && arg.attr != KVM_DEV_VFIO_FILE_DEL))
    return fail(Errno::kNxio, "the device has no such attribute");
  TEEIO_ASSIGN(const std::int32_t fd, copy_in<std::int32_t>(call.memory(), arg.addr));
  auto& device = static_cast<kvm::VfioDevice&>(call.file);
  TEEIO_TRY(add ? device.add(call.caller, fd) : device.remove(call.caller, fd));
  return 0;
}

Result<std::int64_t> ioctl_get_device_attr(Call&) {
  return fail(Errno::kPerm, "the device's attributes cannot be read");
}

Result<std::int64_t> ioctl_has_device_attr(Call& call) {
  using Arg = abi::kvm_device_attr;
  TEEIO_ASSIGN(const Arg arg, copy_in<Arg>(call.memory(), call.argument));
  if (arg.group == KVM_DEV_VFIO_FILE &&
      (arg.attr == KVM_DEV_VFIO_FILE_ADD || arg.attr == KVM_DEV_VFIO_FILE_DEL))
    return 0;
  return fail(Errno::kNxio, "the device has no such attribute");
}

}  // namespace teeio::entry
