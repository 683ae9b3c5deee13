// exec closes what has O_CLOEXEC, releases it, and keeps the rest; a failed
// exec changes nothing.
#include "programs/check.h"

int main(int argc, char** argv) {
  if (argc == 1) {
    const int closing = open_device();
    const int staying = open(DUMMY_DEVICE, O_RDWR);
    const int space = ioctl(closing, DUMMY_MM);
    CHECK(execl("/nonexistent/program", "program", nullptr) == -1);
    CHECK(echoes(closing) && echoes(staying) && ioctl(closing, DUMMY_MM) == space);
    char numbers[3][12];
    sprintf(numbers[0], "%d", closing);
    sprintf(numbers[1], "%d", staying);
    sprintf(numbers[2], "%d", space);
    execl("/proc/self/exe", argv[0], numbers[0], numbers[1], numbers[2], nullptr);
    return 1;
  }
  const int staying = atoi(argv[2]);
  CHECK_ERRNO(ioctl(atoi(argv[1]), DUMMY_SERIAL), EBADF);
  CHECK(echoes(staying));
  CHECK(ioctl(staying, DUMMY_MM) != atoi(argv[3]));
  CHECK(ioctl(staying, DUMMY_RELEASED) == 1);
}
