// IOMMU_VFIO_IOAS: which IOAS a type 1 container's calls mean, and for how long.
#include "probe.h"

namespace {

int iommufd;

long vfio_ioas(std::uint16_t op, std::uint32_t* id, std::uint16_t reserved = 0) {
  iommu_vfio_ioas arg = {sizeof(arg), *id, op, reserved};
  const long result = probe::call(iommufd, IOMMU_VFIO_IOAS, arg);
  *id = arg.ioas_id;
  return result;
}

long get(std::uint32_t* id) { return vfio_ioas(IOMMU_VFIO_IOAS_GET, id); }
long set(std::uint32_t id) { return vfio_ioas(IOMMU_VFIO_IOAS_SET, &id); }

}  // namespace

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  iommufd = bound.iommufd;
  std::uint32_t id = 77;
  probe::say(get(&id), "GET of nothing");
  probe::say_if(id == 77, "the id is left as it was");
  id = 0;
  probe::say(vfio_ioas(IOMMU_VFIO_IOAS_CLEAR, &id), "CLEAR of nothing");
  probe::say(vfio_ioas(IOMMU_VFIO_IOAS_GET, &id, 1), "GET, reserved word set");
  probe::say(vfio_ioas(3, &id), "operation 3");
  probe::say(vfio_ioas(3, &id, 1), "operation 3, reserved word set");
  probe::say(set(99), "SET, no such object");
  probe::say(set(bound.devid), "SET a device");

  const std::uint32_t first = probe::alloc_ioas(iommufd);
  const std::uint32_t second = probe::alloc_ioas(iommufd);
  probe::say(set(first), "SET an IOAS");
  probe::say(get(&id), "GET");
  probe::say_if(id == first, "it is that IOAS");
  probe::say(set(99), "SET, no such object");
  probe::say(get(&id), "GET after that");
  probe::say_if(id == first, "it is the one before");
  probe::say(set(second), "SET another");
  probe::say(get(&id), "GET");
  probe::say_if(id == second, "it is the other");
  probe::say(probe::destroy(iommufd, first), "DESTROY the first");
  probe::say(get(&id), "GET");

  probe::say(probe::destroy(iommufd, second), "DESTROY the one that is set");
  probe::say(get(&id), "GET after that");
  const std::uint32_t third = probe::alloc_ioas(iommufd);
  probe::say(get(&id), "GET with a new IOAS");

  probe::say(set(third), "SET the new one");
  id = 99;
  probe::say(vfio_ioas(IOMMU_VFIO_IOAS_CLEAR, &id), "CLEAR with any id");
  probe::say(get(&id), "GET after CLEAR");
  probe::say(set(third), "SET it again");
  probe::say(probe::attach(bound.device, third), "attach the device to it");
  probe::say(probe::destroy(iommufd, third), "DESTROY it, attached");
  probe::say(get(&id), "GET after that");
  const int other = probe::open_iommufd();
  iommufd = other;
  probe::say(get(&id), "GET in another context");
}
