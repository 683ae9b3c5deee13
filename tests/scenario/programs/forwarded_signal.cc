// A signal that somebody sends to teeio reaches the program.
#include "programs/check.h"

int main() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  CHECK(sigprocmask(SIG_BLOCK, &set, nullptr) == 0);
  const pid_t teeio = getppid();
  const pid_t sender = fork();
  if (sender == 0) _exit(kill(teeio, SIGTERM) == 0 ? 0 : 1);
  CHECK(status_of(sender) == 0);
  int signal = 0;
  CHECK(sigwait(&set, &signal) == 0 && signal == SIGTERM);
}
