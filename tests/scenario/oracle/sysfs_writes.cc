// Writing to attributes that act or refuse.
#include "probe.h"

namespace {

void put(const char* name, const char* text) {
  char path[256];
  snprintf(path, sizeof(path), "%s/%s", probe::sysfs_dir(), name);
  const int fd = open(path, O_WRONLY);
  if (fd < 0) {
    probe::say(fd, "open %s for writing", name);
    return;
  }
  const long result = write(fd, text, strlen(text));
  const int error = errno;
  close(fd);
  errno = error;
  probe::say_value(result, "write \"%.*s\" to %s", static_cast<int>(strcspn(text, "\n")), text,
                   name);
}

}  // namespace

int main() {
  put("reset", "0\n");
  put("reset", "2\n");
  put("reset", "x\n");
  put("reset", "");
  put("reset", "1\n");
  put("reset", "1");
  put("remove", "0\n");
  put("remove", "x\n");
  put("nothing", "1\n");
  const probe::BoundDevice bound = probe::open_bound();
  put("reset", "1\n");
  probe::say(ioctl(bound.device, VFIO_DEVICE_RESET), "VFIO_DEVICE_RESET");
}
