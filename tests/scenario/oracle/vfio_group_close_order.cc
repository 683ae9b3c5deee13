// Container, group and device closed in every order, and what works in between.
#include "group.h"

namespace {

void play(const char* order) {
  const probe::Contained all = probe::contained(VFIO_TYPE1v2_IOMMU);
  const int device = static_cast<int>(probe::device_fd(all.group, probe::device_name()));
  std::byte* memory = probe::pages(1);
  if (probe::map(all.container, probe::address_of(memory), 0x10000, 4096) != 0)
    probe::give_up("VFIO_IOMMU_MAP_DMA");
  for (const char* at = order; *at != '\0'; ++at) {
    close(*at == 'c' ? all.container : *at == 'g' ? all.group : device);
    printf("%s, after %c: ", order, *at);
    const int group = open(probe::group_path(), O_RDWR);
    probe::say(group, "open the group");
    if (group >= 0) close(group);
  }
}

}  // namespace

int main() {
  for (const char* order : {"cgd", "cdg", "gcd", "gdc", "dcg", "dgc"}) play(order);
  // A container without groups is without an IOMMU again.
  const probe::Contained both = probe::contained(VFIO_TYPE1v2_IOMMU);
  probe::say(ioctl(both.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
  probe::say_unmap(both.container, "no IOMMU any more", 0, 4096);
  probe::say(ioctl(both.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU without a group");
  probe::say(probe::set_container(both.group, both.container), "SET_CONTAINER again");
  probe::say(ioctl(both.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU of another kind");
}
