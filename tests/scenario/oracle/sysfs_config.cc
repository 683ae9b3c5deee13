// The config attribute: any offset and length, shorter at the end.
#include <sys/stat.h>

#include "probe.h"

int main() {
  char path[256];
  snprintf(path, sizeof(path), "%s/config", probe::sysfs_dir());
  const int fd = open(path, O_RDWR);
  if (probe::say(fd, "open config") < 0) return 0;
  struct stat status = {};
  fstat(fd, &status);
  probe::say_value(status.st_size, "its size");
  std::uint8_t whole[8192] = {};
  std::uint8_t part[8] = {};
  probe::say_value(read(fd, whole, sizeof(whole)), "read all");
  probe::say_value(read(fd, whole + 4096, 1), "read more");
  for (const int length : {1, 2, 3, 5, 7}) {
    for (const int offset : {0, 1, 2, 3, 4093}) {
      const long got = pread(fd, part, static_cast<std::size_t>(length), offset);
      probe::say_value(got, "read %d at %d", length, offset);
      if (got < 0 || memcmp(part, whole + offset, static_cast<std::size_t>(got)) != 0) {
        puts("  and it is not what the long read said");
      }
    }
  }
  probe::say_value(pread(fd, part, 4, 4096), "read 4 at 4096");
  probe::say_value(pread(fd, part, 4, 5000), "read 4 at 5000");
  probe::say_value(pread(fd, probe::nowhere(), 4, 0), "read into unmapped memory");
  probe::say_value(pwrite(fd, part, 4, 4096), "write 4 at 4096");
  probe::say_value(pwrite(fd, part, 4, 5000), "write 4 at 5000");
  const std::uint8_t line = 0x5a;
  probe::say_value(pwrite(fd, &line, 1, 0x3c), "write the interrupt line");
  probe::say_value(pread(fd, part, 1, 0x3c), "read it");
  probe::say_value(part[0], "it is");
  probe::say_value(pwrite(fd, part, 2, 0), "write the vendor id");
  probe::say_value(pread(fd, part, 2, 0), "read it");
  probe::say_if(memcmp(part, whole, 2) == 0, "it is as before");
  const void* map = mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, fd, 0);
  probe::say(map == MAP_FAILED ? -1 : 0, "mmap");
}
