// Fills /dev/shm, then maps a vCPU's page and a BAR and reads an attribute: each says ENOMEM or
// works, and nobody dies of a page without memory.
#include <dirent.h>
#include <sys/ioctl.h>

#include "abi/linux/kvm.h"
#include "programs/check.h"

static void fill(void) {
  const int file = open("/dev/shm/full", O_CREAT | O_RDWR, 0600);
  CHECK(file >= 0);
  static char bytes[4096];
  for (size_t size = sizeof(bytes); size != 0; size /= 2)
    while (write(file, bytes, size) > 0) continue;
  close(file);
}

static bool refused(int fd) {
  return mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
         errno == ENOMEM;
}

int main() {
  const int kvm = open("/dev/kvm", O_RDWR);
  const int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  CHECK(vm >= 0);
  const char* const device = "/sys/bus/pci/devices/0000:02:00.0/";
  char path[128];
  snprintf(path, sizeof(path), "%sresource0", device);
  const int bar = open(path, O_RDWR);
  CHECK(bar >= 0);
  fill();
  const int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  CHECK(vcpu >= 0);
  CHECK(refused(vcpu));
  CHECK(refused(bar));
  snprintf(path, sizeof(path), "%svendor", device);
  const int attribute = open(path, O_RDONLY);
  char text[16] = {};
  CHECK_ERRNO(read(attribute, text, sizeof(text)), ENOMEM);
  CHECK(unlink("/dev/shm/full") == 0);
  CHECK(pread(attribute, text, sizeof(text), 0) == 7);
  char* const page = (char*)mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
  CHECK(page != MAP_FAILED);
  page[0] = 1;
  puts("all is well again");
}
