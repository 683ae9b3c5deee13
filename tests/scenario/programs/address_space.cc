// Threads share an address space, a fork has its own.
#include <pthread.h>

#include "programs/check.h"

static int fd;
static void* ask(void*) { return reinterpret_cast<void*>(static_cast<long>(ioctl(fd, DUMMY_MM))); }

int main() {
  fd = open_device();
  const long mine = ioctl(fd, DUMMY_MM);
  pthread_t thread;
  void* its = nullptr;
  CHECK(pthread_create(&thread, nullptr, ask, nullptr) == 0);
  CHECK(pthread_join(thread, &its) == 0 && reinterpret_cast<long>(its) == mine);
  const pid_t child = fork();
  if (child == 0) _exit(ioctl(fd, DUMMY_MM) != mine ? 0 : 1);
  CHECK(status_of(child) == 0);
  CHECK(ioctl(fd, DUMMY_MM) == mine);
}
