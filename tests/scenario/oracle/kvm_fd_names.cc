// What /proc/self/fd says of KVM's files, and what lstat says of those links.
#include <sys/stat.h>

#include "kvm.h"

namespace {

void say_name(int fd, const char* what) {
  char link[64], name[64] = {};
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, name, sizeof(name) - 1);
  printf("%s is %s\n", what, length < 0 ? "?" : name);
  struct stat info = {};
  probe::say_if(lstat(link, &info) == 0 && S_ISLNK(info.st_mode), "%s: a link", what);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  say_name(vm, "a VM");
  say_name(ioctl(vm, KVM_CREATE_VCPU, 3), "vCPU 3");
  kvm_create_device device = {};
  device.type = KVM_DEV_TYPE_VFIO;
  probe::say(probe::call(vm, KVM_CREATE_DEVICE, device), "CREATE_DEVICE");
  say_name(static_cast<int>(device.fd), "the VFIO device");
  say_name(ioctl(vm, KVM_GET_STATS_FD, 0), "its statistics");
  const int kvm = probe::open_kvm();
  say_name(kvm, "/dev/kvm");
}
