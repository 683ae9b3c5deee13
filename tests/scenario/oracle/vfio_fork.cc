// A device and an iommufd that a child inherits: it may do all, and its exit ends nothing.
#include <sys/wait.h>

#include "probe.h"

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  const pid_t child = fork();
  if (child == 0) {
    vfio_device_info info = {};
    info.argsz = sizeof(info);
    probe::say(probe::call(bound.device, VFIO_DEVICE_GET_INFO, info), "child: GET_INFO");
    const std::uint32_t ioas = probe::alloc_ioas(bound.iommufd);
    probe::say(probe::attach(bound.device, ioas), "child: attach to an IOAS it made");
    iommu_ioas_map map = {};
    map.size = sizeof(map);
    map.flags = IOMMU_IOAS_MAP_READABLE;
    map.ioas_id = ioas;
    map.user_va = probe::address_of(probe::pages(1));
    map.length = probe::kPage;
    probe::say(probe::call(bound.iommufd, IOMMU_IOAS_MAP, map), "child: map its memory");
    probe::say(close(bound.device), "child: close the device");
    fflush(stdout);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  probe::say(probe::destroy(bound.iommufd, bound.devid), "parent: DESTROY the device");
  vfio_device_detach_iommufd_pt detach = {sizeof(detach), 0, 0};
  probe::say(probe::call(bound.device, VFIO_DEVICE_DETACH_IOMMUFD_PT, detach), "parent: detach");
  iommu_ioas_unmap all = {sizeof(all), 2, 0, ~0ULL};
  probe::say(probe::call(bound.iommufd, IOMMU_IOAS_UNMAP, all),
             "parent: unmap what the child mapped");
  probe::say_value(static_cast<long>(all.length), "  bytes");
  probe::say(close(bound.device), "parent: close the device");
  probe::say(probe::destroy(bound.iommufd, bound.devid), "parent: DESTROY the device");
}
