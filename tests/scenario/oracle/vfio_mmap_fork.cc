// A mapping of a BAR that a child inherits.
#include <sys/wait.h>

#include "probe.h"

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  const vfio_region_info bar = probe::mappable_bar(bound.device);
  std::uint16_t command = 2;
  const off_t at = (off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) + 4;
  if (pwrite(bound.device, &command, 2, at) != 2) probe::give_up("COMMAND");
  void* map = mmap(nullptr, probe::kPage, PROT_READ | PROT_WRITE, MAP_SHARED, bound.device,
                   static_cast<off_t>(bar.offset));
  if (map == MAP_FAILED) probe::give_up("mmap");
  auto* word = static_cast<volatile std::uint32_t*>(map);

  int to_child[2];
  int to_parent[2];
  if (pipe(to_child) != 0 || pipe(to_parent) != 0) probe::give_up("pipe");
  char byte = 0;
  if (fork() == 0) {
    close(bound.device);
    probe::say_if(*word == *word, "child: the mapping can be read");
    fflush(stdout);
    if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1) _exit(1);
    probe::say_if(*word == *word, "child: and after the parent's end of it");
    fflush(stdout);
    _exit(0);
  }
  if (read(to_parent[0], &byte, 1) != 1) probe::give_up("read");
  munmap(map, probe::kPage);
  close(bound.device);
  probe::say(probe::destroy(bound.iommufd, bound.devid), "parent: DESTROY, the child maps");
  fflush(stdout);
  if (write(to_child[1], &byte, 1) != 1) probe::give_up("write");
  wait(nullptr);
  probe::say(probe::destroy(bound.iommufd, bound.devid), "parent: DESTROY, the child is gone");
}
