// A working directory in the tree would let later calls miss it.
// stderr: chdir.*refused with EACCES
#include "programs/check.h"

int main() {
  CHECK_ERRNO(chdir(DUMMY_FUNCTION), EACCES);
  const int dir = open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY);
  CHECK(dir >= 0);
  CHECK_ERRNO(fchdir(dir), EACCES);
  char link[] = "/tmp/teeio-scenario-XXXXXX";
  CHECK(mkdtemp(link) != nullptr && rmdir(link) == 0);
  CHECK(symlink("/sys/bus/pci", link) == 0);
  const int result = chdir(link);
  CHECK(unlink(link) == 0);  // the link itself is the host's
  CHECK(result == -1);
  CHECK(chdir("/tmp") == 0);
}
