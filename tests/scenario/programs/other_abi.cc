// A 32-bit call from a 64-bit program is refused with a plain message.
// stderr: 32-bit or x32 system call was refused
#include "programs/check.h"

int main() {
  CHECK_ERRNO(syscall(0x40000000 + 39), ENOSYS);  // getpid of the x32 ABI
}
