// Nothing here needs a privilege: the same as another user, if we can become one.
// --inh-caps=-all --bounding-set=-all @RUN@ -- @PROGRAM@; else exec @RUN@ -- @PROGRAM@; fi
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "programs/check.h"

// The kernel's link to a mapped file is for the privileged; without it the file is
// found among the program's descriptors, however high its number.
static void pins_a_file_by_its_descriptor(int fd) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_max < 4096) return;
  limit.rlim_cur = limit.rlim_max;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  const int memfd = memfd_create("guest", 0);
  CHECK(ftruncate(memfd, 4096) == 0 && dup2(memfd, 4000) == 4000 && close(memfd) == 0);
  void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 4000, 0);
  struct dummy_range range = {reinterpret_cast<uint64_t>(shared), 4096};
  CHECK(ioctl(fd, DUMMY_PIN, &range) == 1);  // mapped, not copied
  CHECK(munmap(shared, 4096) == 0 && ioctl(fd, DUMMY_DMA) == 0);
}

int main() {
  const int fd = open_device();
  CHECK(echoes(fd));
  const int irq = eventfd(0, 0);
  eventfd_t count = 0;
  CHECK(ioctl(fd, DUMMY_SIGNAL, irq) == 0 && eventfd_read(irq, &count) == 0 && count == 1);
  const int copy = dup(fd);
  CHECK(copy >= 768 && close(fd) == 0 && echoes(copy));
  struct stat info;
  CHECK(stat(DUMMY_FUNCTION "/vendor", &info) == 0);
  pins_a_file_by_its_descriptor(copy);
}
