// calls N: microseconds a call, one line of six: refused ioctl, ioctl that
// copies 16 bytes in and out, open and close of an unrelated file, getpid, read
// and pread of 64 KiB of an unrelated file. Without a device any descriptor
// does, and without a supervisor the first two fail.
#include <sys/syscall.h>
#include <time.h>

#include "programs/check.h"

static double now_us() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

template <class Call>
static void measure(int count, Call call) {
  const double start = now_us();
  for (int i = 0; i < count; ++i) call();
  printf("%8.2f", (now_us() - start) / count);
}

int main(int, char** argv) {
  const int count = atoi(argv[1]);
  int fd = open(DUMMY_DEVICE, O_RDWR);
  if (fd < 0) fd = 0;
  dummy_pair pair = {41, 0};
  const bool supervised = ioctl(fd, DUMMY_ECHO, &pair) == 0;
  CHECK(!supervised || pair.out == 42);
  measure(count, [&] { ioctl(fd, _IO(';', 99), 0); });
  measure(count, [&] { ioctl(fd, DUMMY_ECHO, &pair); });
  measure(count, [] { close(open("/etc/passwd", O_RDONLY)); });
  measure(count, [] { syscall(SYS_getpid); });
  static char buffer[65536];
  const int zero = open("/dev/zero", O_RDONLY);
  const int file = memfd_create("large", 0);
  CHECK(zero >= 0 && write(file, buffer, sizeof(buffer)) == sizeof(buffer));
  measure(count, [zero] { CHECK(read(zero, buffer, sizeof(buffer)) == sizeof(buffer)); });
  measure(count, [file] { CHECK(pread(file, buffer, sizeof(buffer), 0) == sizeof(buffer)); });
  puts("");
}
