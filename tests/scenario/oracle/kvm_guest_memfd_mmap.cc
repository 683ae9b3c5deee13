// A guest_memfd that the program maps, and the guest that shares it.
#include <setjmp.h>
#include <signal.h>

#include "kvm.h"

namespace {

constexpr std::uint64_t kMmap = 1;        // GUEST_MEMFD_FLAG_MMAP
constexpr std::uint64_t kShared = 2;      // GUEST_MEMFD_FLAG_INIT_SHARED
constexpr unsigned long kFlagsCap = 244;  // KVM_CAP_GUEST_MEMFD_FLAGS
constexpr std::size_t kSize = 4 * probe::kPage;
constexpr int kKeep = 1;   // FALLOC_FL_KEEP_SIZE
constexpr int kPunch = 2;  // FALLOC_FL_PUNCH_HOLE

// mov al, [0x2000]; mov [0x2001], al; hlt: in 16 bits
constexpr std::uint8_t kCode[] = {0xa0, 0x00, 0x20, 0xa2, 0x01, 0x20, 0xf4};

sigjmp_buf back;
void on_bus(int) { siglongjmp(back, 1); }

void touch(const char* what, volatile unsigned char* at) {
  if (sigsetjmp(back, 1) != 0) {
    printf("%s -> SIGBUS\n", what);
    return;
  }
  printf("%s -> %u\n", what, *at);
}

int create(int vm, std::uint64_t flags, const char* what) {
  kvm_create_guest_memfd arg = {};
  arg.size = kSize;
  arg.flags = flags;
  return static_cast<int>(probe::say(probe::call(vm, KVM_CREATE_GUEST_MEMFD, arg), "%s", what));
}

unsigned char* map(int fd, int prot, int flags, const char* what, std::size_t size = kSize) {
  void* at = mmap(nullptr, size, prot, flags, fd, 0);
  probe::say(at == MAP_FAILED ? -1 : 0, "%s", what);
  return static_cast<unsigned char*>(at);
}

void flags_of(unsigned long type, const char* what) {
  const int vm = probe::create_vm(type);
  printf("%s\n", what);
  probe::say_value(ioctl(vm, KVM_CHECK_EXTENSION, kFlagsCap), "  KVM_CAP_GUEST_MEMFD_FLAGS");
  create(vm, kMmap, "  MMAP");
  create(vm, kShared, "  INIT_SHARED");
  create(vm, kMmap | kShared, "  both");
  create(vm, 4, "  flag 4");
}

void set_slot(int vm, int fd, std::uint64_t offset, const void* memory, const char* what) {
  kvm_userspace_memory_region2 arg = probe::slot(1, 0x2000, probe::kPage, memory);
  arg.flags = KVM_MEM_GUEST_MEMFD;
  arg.guest_memfd = static_cast<std::uint32_t>(fd);
  arg.guest_memfd_offset = offset;
  probe::say(probe::set_slot(vm, arg), "%s", what);
}

void run(const probe::Guest& guest, const char* what) {
  kvm_regs regs = {};
  regs.rip = 0x1000;
  regs.rflags = 2;
  if (probe::call(guest.vcpu, KVM_SET_REGS, regs) != 0) probe::give_up("KVM_SET_REGS");
  probe::say(ioctl(guest.vcpu, KVM_RUN, 0), "%s", what);
  printf("  exit_reason %u\n", guest.run->exit_reason);
}

}  // namespace

int main() {
  probe::say_value(ioctl(probe::open_kvm(), KVM_CHECK_EXTENSION, kFlagsCap),
                   "KVM_CAP_GUEST_MEMFD_FLAGS of /dev/kvm");
  flags_of(KVM_X86_DEFAULT_VM, "a default VM");
  flags_of(KVM_X86_SW_PROTECTED_VM, "a software-protected VM");
  struct sigaction action = {};
  action.sa_handler = on_bus;
  sigaction(SIGBUS, &action, nullptr);

  const probe::Guest guest = probe::start_guest(KVM_X86_DEFAULT_VM, kCode, sizeof(kCode));
  const int fd = create(guest.vm, kMmap | kShared, "MMAP and INIT_SHARED");
  map(fd, PROT_READ, MAP_PRIVATE, "mmap private");
  map(fd, PROT_READ | PROT_EXEC, MAP_SHARED, "mmap to run from");
  unsigned char* bytes = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED,
                             "mmap of it and two pages more", kSize + 2 * probe::kPage);
  touch("the first byte", bytes);
  touch("the last byte", bytes + kSize - 1);
  touch("the byte behind it", bytes + kSize);
  set_slot(guest.vm, fd, 0x1000, probe::pages(1), "its second page as a slot");
  bytes[0x1000] = 42;
  run(guest, "RUN: copy a byte");
  touch("what the guest wrote", bytes + 0x1001);
  probe::say(fallocate(fd, kKeep | kPunch, 0x1000, 0x1000), "punch a hole");
  touch("the byte in the hole", bytes + 0x1001);
  run(guest, "RUN: copy a byte");
  bytes[0x1000] = 43;
  run(guest, "RUN: copy a byte");
  touch("what the guest wrote", bytes + 0x1001);
  char byte = 1;
  probe::say(pread(fd, &byte, 1, 0), "pread");
  probe::say(write(fd, &byte, 1), "write");
  close(fd);
  bytes[0x1000] = 44;
  touch("a byte after close", bytes + 0x1000);
  run(guest, "RUN after close");
  munmap(bytes, kSize + 2 * probe::kPage);
  run(guest, "RUN after munmap");

  const int hidden = create(guest.vm, kMmap, "MMAP");
  bytes = map(hidden, PROT_READ | PROT_WRITE, MAP_SHARED, "mmap");
  touch("the first byte", bytes);
  const int plain = create(guest.vm, kShared, "INIT_SHARED");
  map(plain, PROT_READ | PROT_WRITE, MAP_SHARED, "mmap");
  map(plain, PROT_READ | PROT_EXEC, MAP_SHARED, "mmap to run from");
}
