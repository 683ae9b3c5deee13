// A watch of a directory of the tree sees what comes and goes in the machine.
#include <poll.h>
#include <sys/inotify.h>

#include "programs/check.h"

int main() {
  const int watcher = inotify_init1(IN_CLOEXEC);
  CHECK(watcher >= 0);
  const int watch = inotify_add_watch(watcher, DUMMY_FUNCTION "/tsm", IN_CREATE | IN_DELETE);
  CHECK(watch > 0);
  CHECK_ERRNO(inotify_add_watch(watcher, "/sys/bus/pci/nothing", IN_CREATE), ENOENT);
  CHECK_ERRNO(inotify_add_watch(watcher, DUMMY_FUNCTION "/vendor", IN_CREATE | IN_ONLYDIR),
              ENOTDIR);
  const int connect = open(DUMMY_FUNCTION "/tsm/connect", O_WRONLY | O_CLOEXEC);
  CHECK(connect >= 0 && write(connect, "tsm0\n", 5) == 5);
  struct pollfd ready = {watcher, POLLIN, 0};
  CHECK(poll(&ready, 1, 10000) == 1);
  char buffer[sizeof(struct inotify_event) + 256];
  CHECK(read(watcher, buffer, sizeof(buffer)) > 0);
  struct inotify_event event;
  memcpy(&event, buffer, sizeof(event));
  CHECK(event.wd == watch && (event.mask & IN_CREATE) != 0);
  CHECK(strcmp(buffer + sizeof(event), "disconnect") == 0);
  CHECK(inotify_rm_watch(watcher, watch) == 0);
}
