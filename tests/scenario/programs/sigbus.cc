// Revoke takes the memory away from every process that maps it; afterwards it
// can be given back.
#include <setjmp.h>

#include "programs/check.h"

static sigjmp_buf caught;
static void on_bus(int) { siglongjmp(caught, 1); }

static int faults(volatile char* at) {
  if (sigsetjmp(caught, 1) != 0) return 1;
  (void)*at;
  return 0;
}

int main() {
  struct sigaction action = {};
  action.sa_handler = on_bus;
  CHECK(sigaction(SIGBUS, &action, nullptr) == 0);
  const int fd = open_device();
  void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, DUMMY_BAR_OFFSET);
  CHECK(map != MAP_FAILED);
  volatile char* const at = static_cast<volatile char*>(map);
  *at = 1;
  int go[2];
  int done[2];
  char byte = 0;
  CHECK(pipe(go) == 0 && pipe(done) == 0);
  const pid_t child = fork();
  if (child == 0) {
    CHECK(*at == 1 && write(done[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1);
    _exit(faults(at) ? 0 : 1);
  }
  CHECK(read(done[0], &byte, 1) == 1);
  CHECK(!faults(at));
  CHECK(ioctl(fd, DUMMY_REVOKE) == 0);
  CHECK(faults(at));
  CHECK(write(go[1], &byte, 1) == 1 && status_of(child) == 0);
  CHECK(ioctl(fd, DUMMY_RESTORE) == 0);
  CHECK(!faults(at) && *at == 0x5a);
}
