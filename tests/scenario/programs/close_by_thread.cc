// A number that another thread of the process closed is EBADF at once, also in
// a thread that used it just before.
#include <pthread.h>

#include "programs/check.h"

static void* close_it(void* fd) {
  CHECK(echoes(*static_cast<int*>(fd)));
  CHECK(close(*static_cast<int*>(fd)) == 0);
  return nullptr;
}

int main() {
  for (int i = 0; i < 20; ++i) {
    int fd = open_device();
    CHECK(echoes(fd));
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, close_it, &fd) == 0);
    CHECK(pthread_join(thread, nullptr) == 0);
    CHECK_ERRNO(ioctl(fd, DUMMY_SERIAL), EBADF);
  }
}
