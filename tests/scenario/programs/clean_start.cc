// The program starts as it would without teeio: no descriptor of ours, no
// changed signal, the same limits, no more privileges than it had.
#include <sys/resource.h>

#include <initializer_list>

#include "programs/check.h"

int main() {
  for (int fd = 3; fd < 1024; ++fd) {
    char path[32];
    char target[64] = {};
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (readlink(path, target, sizeof(target) - 1) <= 0) continue;
    CHECK(strncmp(target, "anon_inode:", 11) != 0 && strstr(target, "teeio-run.") == nullptr &&
          strstr(target, " (deleted)") == nullptr);
  }
  for (const int signal : {SIGPIPE, SIGCHLD, SIGBUS, SIGURG, SIGTERM}) {
    struct sigaction action;
    CHECK(sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_DFL);
  }
  sigset_t mask;
  CHECK(sigprocmask(SIG_BLOCK, nullptr, &mask) == 0 && sigisemptyset(&mask));
  rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 1000);
}
