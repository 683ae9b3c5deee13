// Threads share numbers and address space, and call at the same time; also those that the
// first thread has left behind.
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

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

static void wait_until_first_is_dead() {
  char text[64] = {};
  while (strstr(text, ") Z ") == nullptr) {
    sched_yield();
    const int file = open("/proc/self/stat", O_RDONLY);
    CHECK(file >= 0 && read(file, text, sizeof(text) - 1) > 0 && close(file) == 0);
  }
}

static void* stay_behind(void* space) {
  const size_t size = 8192;
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  dummy_range range = {reinterpret_cast<uint64_t>(memory), size};
  wait_until_first_is_dead();
  const int event = eventfd(0, EFD_NONBLOCK);
  uint64_t count = 0;
  CHECK(ioctl(shared, DUMMY_SIGNAL, event) == 0);
  CHECK(read(event, &count, sizeof(count)) == sizeof(count) && count == 1);
  const int memfd = memfd_create("guest", 0);
  CHECK(ftruncate(memfd, size) == 0 && ioctl(shared, DUMMY_MEMFD, memfd) == 0);
  CHECK(ioctl(shared, DUMMY_MM) == *static_cast<int*>(space));
  CHECK(ioctl(shared, DUMMY_PIN, &range) >= 0 && ioctl(shared, DUMMY_DMA) == 0);
  CHECK(*static_cast<unsigned char*>(memory) == 0xd0);
  _exit(0);
}

/// The kernel shows nothing of a thread group whose first thread is a zombie by its number.
static void leave_threads_behind() {
  int space = ioctl(shared, DUMMY_MM);
  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, stay_behind, &space) == 0);
  syscall(SYS_exit, 0);
}

int main() {
  shared = open_device();
  int space = ioctl(shared, DUMMY_MM);
  pthread_t threads[4];
  for (pthread_t& thread : threads) CHECK(pthread_create(&thread, nullptr, work, &space) == 0);
  for (pthread_t& thread : threads) CHECK(pthread_join(thread, nullptr) == 0);
  CHECK(ioctl(shared, DUMMY_RELEASED) == 400);
  CHECK(ioctl(shared, DUMMY_OPEN) == 1);
  const pid_t child = fork();
  if (child == 0) leave_threads_behind();
  CHECK(status_of(child) == 0);
}
