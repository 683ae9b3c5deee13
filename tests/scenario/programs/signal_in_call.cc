// A signal ends a waiting call with EINTR, after which its handler has run; a
// blocked signal does not; other calls go on meanwhile.
#include <pthread.h>

#include "programs/check.h"

static int device;
static pthread_t waiter;
static volatile sig_atomic_t handled;

static void on_signal(int) { handled = 1; }

static void* disturb(void*) {
  wait_until(device, DUMMY_BLOCKED, 1);
  CHECK(pthread_kill(waiter, SIGUSR2) == 0);  // blocked there
  CHECK(echoes(device));
  CHECK(pthread_kill(waiter, SIGUSR1) == 0);
  while (!handled) CHECK(ioctl(device, DUMMY_BLOCKED) >= 0);
  wait_until(device, DUMMY_BLOCKED, 1);
  CHECK(ioctl(device, DUMMY_KICK) == 0);
  return nullptr;
}

int main() {
  device = open_device();
  const int fd = ioctl(device, DUMMY_MAKE);
  CHECK(fd >= 768);
  waiter = pthread_self();
  struct sigaction action = {};
  action.sa_handler = on_signal;
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  CHECK(pthread_sigmask(SIG_BLOCK, &blocked, nullptr) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, disturb, nullptr) == 0);
  CHECK_ERRNO(ioctl(fd, DUMMY_BLOCK), EINTR);
  CHECK(handled == 1);
  CHECK(ioctl(fd, DUMMY_BLOCK) == 0);
  CHECK(pthread_join(thread, nullptr) == 0);
}
