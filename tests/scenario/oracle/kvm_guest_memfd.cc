// CREATE_GUEST_MEMFD, and the file it gives.
#include <sys/stat.h>

#include "kvm.h"

namespace {

void create(int vm, const char* what, std::uint64_t size, std::uint64_t flags) {
  kvm_create_guest_memfd arg = {};
  arg.size = size;
  arg.flags = flags;
  probe::say(probe::call(vm, KVM_CREATE_GUEST_MEMFD, arg), "%s", what);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_SW_PROTECTED_VM);
  create(vm, "size 0", 0, 0);
  create(vm, "size 100", 100, 0);
  create(vm, "a negative size", ~0ULL - 0xfff, 0);
  create(vm, "flag 1 << 5", 0x1000, 1 << 5);
  probe::say(ioctl(vm, KVM_CREATE_GUEST_MEMFD, nullptr), "null pointer");
  kvm_create_guest_memfd arg = {};
  arg.size = 0x4000;
  arg.reserved[5] = 1;
  probe::say(probe::call(vm, KVM_CREATE_GUEST_MEMFD, arg), "reserved word set");

  const int fd = probe::create_guest_memfd(vm, 0x4000);
  struct stat status = {};
  probe::say(fstat(fd, &status), "fstat");
  printf("  size %ld, mode %o\n", status.st_size, status.st_mode);
  char byte = 0;
  probe::say(read(fd, &byte, 1), "read");
  probe::say(pwrite(fd, &byte, 1, 0), "pwrite");
  probe::say_value(lseek(fd, 0, SEEK_END), "lseek to the end");
  const void* map = mmap(nullptr, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  probe::say(map == MAP_FAILED ? -1 : 0, "mmap");
  probe::say(ftruncate(fd, 0x1000), "ftruncate smaller");
  probe::say(ftruncate(fd, 0x8000), "ftruncate larger");
  constexpr int kKeep = 1;   // FALLOC_FL_KEEP_SIZE
  constexpr int kPunch = 2;  // FALLOC_FL_PUNCH_HOLE
  probe::say(fallocate(fd, 0, 0, 0x1000), "fallocate without KEEP_SIZE");
  probe::say(fallocate(fd, kKeep, 0, 0x1000), "fallocate");
  probe::say(fallocate(fd, kKeep, 0x3000, 0x2000), "fallocate across the end");
  probe::say(fallocate(fd, kKeep, 1, 0x1000), "fallocate from 1");
  probe::say(fallocate(fd, kKeep | kPunch, 0, 0x1000), "punch a hole");
  probe::say(fallocate(fd, kKeep | kPunch, 0x100000, 0x1000), "punch a hole behind the end");
  probe::say(ioctl(fd, KVM_RUN, 0), "ioctl");
}
