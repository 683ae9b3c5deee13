// Signals that arrive while a thread moves into the tree arrive behind it, each once.
#include "programs/check.h"

static volatile sig_atomic_t caught = 0;
static void catch_it(int) { caught = caught + 1; }

int main() {
  struct sigaction action = {};
  action.sa_handler = catch_it;
  action.sa_flags = SA_RESTART;
  CHECK(sigaction(SIGUSR1, &action, nullptr) == 0);
  constexpr int kRounds = 20;
  const pid_t sender = fork();
  if (sender == 0) {
    for (int i = 0; i < kRounds; ++i) kill(getppid(), SIGUSR1);
    _exit(0);
  }
  for (int i = 0; i < kRounds; ++i) {
    CHECK(chdir("/sys/bus/pci") == 0);
    CHECK(chdir("/") == 0);
  }
  CHECK(status_of(sender) == 0);
  CHECK(caught > 0 && caught <= kRounds);
}
