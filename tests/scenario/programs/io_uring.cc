// A ring would carry calls past the filter: as if the kernel had none.
#include <sys/syscall.h>

#include "programs/check.h"

int main() {
  char parameters[120] = {};
  CHECK_ERRNO(syscall(SYS_io_uring_setup, 8, parameters), ENOSYS);
}
