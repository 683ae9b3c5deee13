// Threads share numbers and address space, and call at the same time.
#include <pthread.h>

#include "programs/check.h"

static int shared;

static void* work(void* space) {
  CHECK(ioctl(shared, DUMMY_MM) == *static_cast<int*>(space));
  for (int i = 0; i < 100; ++i) {
    const int own = open_device();
    CHECK(own != shared && echoes(own) && echoes(shared));
    CHECK(close(own) == 0);
  }
  return nullptr;
}

int main() {
  shared = open_device();
  int space = ioctl(shared, DUMMY_MM);
  pthread_t threads[4];
  for (pthread_t& thread : threads) CHECK(pthread_create(&thread, nullptr, work, &space) == 0);
  for (pthread_t& thread : threads) CHECK(pthread_join(thread, nullptr) == 0);
  CHECK(ioctl(shared, DUMMY_RELEASED) == 400);
  CHECK(ioctl(shared, DUMMY_OPEN) == 1);
}
