// A program that becomes somebody else is held to owners and permissions; who runs teeio is not.
// Leaves early without the right to become somebody else.
#include <grp.h>

#include "programs/check.h"

enum { kNobody = 65534, kNoGroup = 65534, kTheirs = 4242 };

/* Opens for reading and writing as another user, in a process of its own: 0, or errno. */
static int as_nobody(const char* path, gid_t group) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (setgroups(1, &group) != 0 || setgid(kNoGroup) != 0 || setuid(kNobody) != 0) _exit(200);
    const int allowed = access(path, R_OK | W_OK) == 0;
    const int fd = open(path, O_RDWR);
    if ((fd >= 0) != allowed) _exit(201);
    _exit(fd >= 0 ? 0 : errno);
  }
  return status_of(pid);
}

int main() {
  if (getuid() != 0) return 0;
  const int first = as_nobody("/dev/null", kNoGroup);
  if (first == 200) return 0;  // a container without CAP_SETUID
  CHECK(first == 0);
  struct stat info;
  CHECK(stat(DUMMY_DEVICE, &info) == 0);
  CHECK(chmod(DUMMY_DEVICE, 0600) == 0);
  CHECK(as_nobody(DUMMY_DEVICE, kNoGroup) == EACCES);
  CHECK(chmod(DUMMY_DEVICE, 0660) == 0);
  CHECK(chown(DUMMY_DEVICE, 0, kTheirs) == 0);
  CHECK(as_nobody(DUMMY_DEVICE, kNoGroup) == EACCES);
  CHECK(as_nobody(DUMMY_DEVICE, kTheirs) == 0);
  CHECK(chown(DUMMY_DEVICE, kNobody, 0) == 0);
  CHECK(as_nobody(DUMMY_DEVICE, kNoGroup) == 0);
  const pid_t pid = fork();
  if (pid == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(kNoGroup) != 0 || setuid(kTheirs) != 0) _exit(1);
    CHECK_ERRNO(chmod(DUMMY_DEVICE, 0666), EPERM);
    CHECK_ERRNO(open(DUMMY_DEVICE, O_RDWR), EACCES);
    _exit(0);
  }
  CHECK(status_of(pid) == 0);
  CHECK(chown(DUMMY_DEVICE, info.st_uid, info.st_gid) == 0);
  CHECK(chmod(DUMMY_DEVICE, info.st_mode & 07777) == 0);
}
