// Makes the n-th step of a few calls fail, for n from 1 until nothing fails any more: every
// one of them leaves all as it was. Linux Documentation/fault-injection/fault-injection.rst.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "abi/iommufd.h"

namespace {

int nth = -1;
char memory[4096] __attribute__((aligned(4096)));

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "fail_nth: %s (%s)\n", what, std::strerror(errno));
  std::exit(1);
}

void put(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY);
  check(fd >= 0, path);
  check(write(fd, text, std::strlen(text)) == static_cast<ssize_t>(std::strlen(text)), path);
  close(fd);
}

void set(int value) {
  char text[16];
  const int length = std::snprintf(text, sizeof(text), "%d", value);
  check(pwrite(nth, text, static_cast<size_t>(length), 0) == length, "fail-nth cannot be written");
}

int get() {
  char text[16] = {};
  check(pread(nth, text, sizeof(text) - 1, 0) > 1, "fail-nth cannot be read");
  return std::atoi(text);
}

/// Whether all of it was done; what was done is undone.
bool life() {
  const int fd = open("/dev/iommu", O_RDWR);
  if (fd < 0) return false;
  teeio::abi::iommu_ioas_alloc ioas = {};
  ioas.size = sizeof(ioas);
  bool done = ioctl(fd, IOMMU_IOAS_ALLOC, &ioas) == 0;
  teeio::abi::iommu_ioas_map map = {};
  map.size = sizeof(map);
  map.flags = teeio::abi::IOMMU_IOAS_MAP_READABLE;
  map.ioas_id = ioas.out_ioas_id;
  map.user_va = reinterpret_cast<std::uintptr_t>(memory);
  map.length = sizeof(memory);
  done = done && ioctl(fd, IOMMU_IOAS_MAP, &map) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  return done;
}

void refuses() {
  check(pwrite(nth, "x", 1, 0) == -1 && errno == EINVAL, "a word is no number");
  check(pwrite(nth, "4294967296", 10, 0) == -1 && errno == ERANGE, "33 bits are too many");
  check(open("/proc/self/fail-nth/x", O_RDONLY) == -1, "a file has no files in it");
}

}  // namespace

int main() {
  nth = open("/proc/thread-self/fail-nth", O_RDWR);
  check(nth >= 0, "/proc/thread-self/fail-nth");
  refuses();
  set(1);
  check(life() && get() == 1, "memory that may be waited for fails without being asked to");
  set(0);
  put("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
  int failures = 0;
  for (int step = 1;; ++step) {
    set(step);
    const bool done = life();
    const int left = get();
    set(0);
    if (left != 0) {
      check(done, "nothing failed, and not all was done");
      break;
    }
    check(!done && errno == ENOMEM, "a step failed with something else than ENOMEM");
    ++failures;
    if (step == 1) put("/sys/kernel/debug/failslab/verbose", "0");
  }
  check(failures >= 5, "too few steps can fail");
  std::puts("every step failed once, and then none");
}
