// What a function's directory in sysfs holds, by shape.
#include <ctype.h>

#include "probe.h"

namespace {

// Prints `name`'s text with every hexadecimal digit after 0x replaced.
void show(const char* name) {
  char path[256];
  snprintf(path, sizeof(path), "%s/%s", probe::sysfs_dir(), name);
  const int fd = open(path, O_RDONLY);
  if (probe::say(fd, "open %s", name) < 0) return;
  char text[4096] = {};
  const ssize_t length = read(fd, text, sizeof(text) - 1);
  close(fd);
  for (ssize_t i = 0; i < length; ++i) {
    if (isxdigit(static_cast<unsigned char>(text[i])) != 0) text[i] = 'h';
  }
  printf("  %s", text);
}

void show_link(const char* name) {
  char path[256];
  char target[512] = {};
  snprintf(path, sizeof(path), "%s/%s", probe::sysfs_dir(), name);
  if (probe::say(readlink(path, target, sizeof(target) - 1), "readlink %s", name) < 0) return;
  const char* last = strrchr(target, '/');
  printf("  ends in %s\n",
         isdigit(static_cast<unsigned char>(last[1])) != 0 ? "a number" : last + 1);
}

}  // namespace

int main() {
  for (const char* name : {"vendor", "device", "class", "revision", "subsystem_vendor",
                           "subsystem_device", "resource", "nothing"}) {
    show(name);
  }
  show_link("driver");
  show_link("iommu_group");
  show_link("subsystem");
}
