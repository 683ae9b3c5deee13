// Pinned memory: shared file-backed pages are mapped and outlive munmap,
// anonymous ones are copied and do not; holes and protection are EFAULT.
#include "programs/check.h"

static int pin(int fd, void* at, size_t size) {
  struct dummy_range range = {reinterpret_cast<uint64_t>(at), size};
  return ioctl(fd, DUMMY_PIN, &range);
}

static void* map(int prot, int flags, int fd) { return mmap(nullptr, 8192, prot, flags, fd, 0); }

int main() {
  const int fd = open_device();
  const int rw = PROT_READ | PROT_WRITE;
  unsigned char* anonymous = static_cast<unsigned char*>(map(rw, MAP_PRIVATE | MAP_ANONYMOUS, -1));
  CHECK(pin(fd, anonymous, 8192) == 0);
  CHECK(ioctl(fd, DUMMY_DMA) == 0 && anonymous[0] == 0xd0 && anonymous[8191] == 0xd0);
  CHECK(munmap(anonymous + 4096, 4096) == 0);
  CHECK_ERRNO(ioctl(fd, DUMMY_DMA), EFAULT);
  CHECK_ERRNO(pin(fd, anonymous, 8192), EFAULT);
  CHECK(mprotect(anonymous, 4096, PROT_READ) == 0);
  CHECK_ERRNO(pin(fd, anonymous, 4096), EFAULT);

  const int memfd = memfd_create("guest", 0);
  CHECK(ftruncate(memfd, 8192) == 0);
  unsigned char* shared = static_cast<unsigned char*>(map(rw, MAP_SHARED, memfd));
  CHECK(pin(fd, shared, 8192) == 1);
  CHECK(munmap(shared, 8192) == 0);
  CHECK(ioctl(fd, DUMMY_DMA) == 0);
  unsigned char byte = 0;
  CHECK(pread(memfd, &byte, 1, 8191) == 1 && byte == 0xd0);
  CHECK(ioctl(fd, DUMMY_MEMFD, memfd) == 0 && ioctl(fd, DUMMY_DMA) == 0);
  CHECK_ERRNO(ioctl(fd, DUMMY_MEMFD, 0), EINVAL);
  // A program may cut what a device still writes to.
  CHECK(ftruncate(memfd, 0) == 0 && ioctl(fd, DUMMY_DMA) == 0);
  CHECK(echoes(fd));
  void* bar = mmap(nullptr, 4096, rw, MAP_SHARED, fd, DUMMY_BAR_OFFSET);
  CHECK_ERRNO(pin(fd, bar, 4096), EFAULT);
}
