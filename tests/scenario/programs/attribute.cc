// An attribute through every kind of number: ours, standard, low.
#include "programs/check.h"

int main() {
  const int config = open(DUMMY_FUNCTION "/config", O_RDWR);
  unsigned char bytes[16] = {};
  CHECK(pread(config, bytes, 16, 16) == 16 && bytes[0] == 16);
  CHECK(read(config, bytes, 16) == 16 && bytes[0] == 0);
  CHECK(read(config, bytes, 16) == 16 && bytes[0] == 16);
  const unsigned char value[2] = {0xaa, 0xbb};
  CHECK(pwrite(config, value, 2, 64) == 2);
  CHECK(lseek(config, 64, SEEK_SET) == 64 && read(config, bytes, 2) == 2 && bytes[1] == 0xbb);
  CHECK(lseek(config, 250, SEEK_SET) == 250 && read(config, bytes, 16) == 6);
  CHECK(read(config, bytes, 16) == 0);
  const int connect = open(DUMMY_FUNCTION "/tsm/connect", O_RDWR);
  CHECK_ERRNO(write(connect, "tsm9\n", 5), EINVAL);
  CHECK_ERRNO(write(connect, nullptr, 5), EFAULT);
  CHECK(dup2(connect, 0) == 0 && close(connect) == 0);
  iovec parts[2] = {{const_cast<char*>("tsm"), 3}, {const_cast<char*>("0\n"), 2}};
  CHECK(writev(0, parts, 2) == 5);
  char text[8] = {};
  CHECK(lseek(0, 0, SEEK_SET) == 0 && read(0, text, 8) == 5 && strcmp(text, "tsm0\n") == 0);
  CHECK_ERRNO(open(DUMMY_FUNCTION "/vendor", O_WRONLY), EACCES);
  const int vendor = open(DUMMY_FUNCTION "/vendor", O_RDONLY);
  CHECK_ERRNO(write(vendor, "x", 1), EBADF);
  CHECK(dup2(vendor, 7) == 7 && read(7, text, 8) == 7);
}
