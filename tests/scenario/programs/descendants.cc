// teeio waits for a daemon that outlives the program; the status stays the
// program's own.
// status: 3
#include "programs/check.h"

int main() {
  int parent_gone[2];
  CHECK(pipe(parent_gone) == 0);
  if (fork() != 0) _exit(3);
  CHECK(setsid() > 0);
  close(parent_gone[1]);
  char byte;
  CHECK(read(parent_gone[0], &byte, 1) == 0);
  CHECK(echoes(open_device()));
}
