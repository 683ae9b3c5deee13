// A working directory in the tree is one: relative names, getcwd, children and threads.
#include <pthread.h>

#include "programs/check.h"

static int can_read(const char* path) {
  char text[8] = {};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const int right = fd >= 0 && read(fd, text, 7) == 7 && strcmp(text, "0x1af4\n") == 0;
  close(fd);
  return right;
}

static int is_at(const char* path) {
  char text[128] = {};
  return getcwd(text, sizeof(text)) != nullptr && strcmp(text, path) == 0;
}

static const char* const kReal = "/sys/devices/pci0000:00/0000:01:00.0";

static void* go_up(void*) {
  CHECK(chdir("..") == 0);
  return nullptr;
}

int main() {
  const int free_before = dup(0);
  CHECK(free_before >= 0 && close(free_before) == 0);
  CHECK(chdir(DUMMY_FUNCTION) == 0);
  CHECK(is_at(kReal) && can_read("vendor") && can_read("tsm/../vendor"));
  const int free_after = dup(0);
  CHECK(free_after == free_before && close(free_after) == 0);  // nothing is left open
  char small[8];
  CHECK(getcwd(small, sizeof(small)) == nullptr && errno == ERANGE);
  const pid_t child = fork();
  if (child == 0) _exit(is_at(kReal) && can_read("vendor") ? 0 : 1);
  CHECK(status_of(child) == 0);
  CHECK(chdir("tsm") == 0 && can_read("../vendor"));
  CHECK_ERRNO(chdir("../vendor"), ENOTDIR);
  CHECK_ERRNO(chdir("nothing"), ENOENT);
  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, go_up, nullptr) == 0);
  CHECK(pthread_join(thread, nullptr) == 0);
  CHECK(is_at(kReal));  // threads have one working directory

  // What is named from here but lies outside is the host's.
  CHECK(access("../../../../etc/passwd", R_OK) == 0);
  struct stat info;
  CHECK(stat("../../../../etc", &info) == 0 && S_ISDIR(info.st_mode));
  const int passwd = open("../../../../etc/passwd", O_RDONLY | O_CLOEXEC);
  char byte;
  CHECK(passwd >= 0 && read(passwd, &byte, 1) == 1);

  const int dir = open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(dir >= 0 && fchdir(dir) == 0 && is_at("/sys/bus/pci/devices"));
  CHECK(can_read("0000:01:00.0/vendor"));
  CHECK(chdir("../../../..") == 0 && is_at("/"));
  char link[] = "/tmp/teeio-scenario-XXXXXX";
  CHECK(mkdtemp(link) != nullptr && rmdir(link) == 0);
  CHECK(symlink("/sys/bus/pci", link) == 0);
  const int result = chdir(link);
  CHECK(unlink(link) == 0);  // the link itself is the host's
  CHECK(result == 0 && is_at("/sys/bus/pci"));
  CHECK(chdir("/tmp") == 0 && is_at("/tmp"));
}
