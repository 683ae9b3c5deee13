// teeio itself may be started oddly: SIGCHLD and SIGPIPE ignored, standard
// descriptors closed. The program finds the same, and works.
// status: 7
#include <initializer_list>

#include "programs/check.h"

int main() {
  struct sigaction action;
  for (const int signal : {SIGPIPE, SIGCHLD})
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_IGN) return 1;
  if (fcntl(0, F_GETFD) != -1 || fcntl(2, F_GETFD) != -1) return 2;
  const int fd = open(DUMMY_DEVICE, O_RDWR);
  if (!echoes(fd)) return 3;
  return 7;
}
