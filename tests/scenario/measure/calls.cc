// calls N: microseconds a call, one line of four: refused ioctl, ioctl that
// copies 16 bytes in and out, open and close of an unrelated file, getpid.
// Under `bare` there is no device: any descriptor does.
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
  CHECK(ioctl(fd, DUMMY_ECHO, &pair) == 0 && pair.out == 42);
  measure(count, [&] { ioctl(fd, _IO(';', 99), 0); });
  measure(count, [&] { ioctl(fd, DUMMY_ECHO, &pair); });
  measure(count, [] { close(open("/etc/passwd", O_RDONLY)); });
  measure(count, [] { syscall(SYS_getpid); });
  puts("");
}
