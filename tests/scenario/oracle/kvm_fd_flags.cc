// Flags of the files that KVM, iommufd and VFIO hand out.
#include "dma_buf.h"
#include "kvm.h"

namespace {

void look(const char* what, int fd) {
  const int flags = fcntl(fd, F_GETFL);
  printf("%s: access mode %d, close on exec %d\n", what, flags & O_ACCMODE,
         fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  look("VM", vm);
  look("vCPU", probe::create_vcpu(vm));
  look("guest_memfd", probe::create_guest_memfd(vm, probe::kPage));
  kvm_create_device create = {KVM_DEV_TYPE_VFIO, 0, 0};
  if (probe::call(vm, KVM_CREATE_DEVICE, create) != 0) probe::give_up("KVM_CREATE_DEVICE");
  look("VFIO device of the VM", static_cast<int>(create.fd));
  const int device = probe::open_bound().device;
  probe::DmaBufRequest request = probe::dma_buf_request(probe::mappable_bar(device).index);
  for (const std::uint32_t flags :
       {std::uint32_t{O_RDWR | O_CLOEXEC}, std::uint32_t{O_RDWR}, std::uint32_t{O_RDONLY}}) {
    request.open_flags = flags;
    look("dma-buf", ioctl(device, VFIO_DEVICE_FEATURE, &request));
  }
}
