// A vDEVICE whose device goes away: its id stays taken and names nothing.
#include "nest.h"

int main() {
  const probe::NestDevice nest = probe::open_nest();
  const std::uint32_t parent = probe::alloc_hwpt(nest, nest.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
  const std::uint32_t viommu = probe::alloc_viommu(nest, parent);
  iommu_vdevice_alloc arg = {};
  arg.size = sizeof(arg);
  arg.viommu_id = viommu;
  arg.dev_id = nest.devid;
  arg.virt_id = 0x100;
  probe::say(probe::call(nest.iommufd, IOMMU_VDEVICE_ALLOC, arg), "a vDEVICE");
  const std::uint32_t vdevice = arg.out_vdevice_id;

  probe::close_nest_device(nest);
  probe::say(probe::destroy(nest.iommufd, vdevice), "DESTROY the vDEVICE, its device gone");
  probe::say(probe::destroy(nest.iommufd, nest.devid), "DESTROY the device");
  arg.virt_id = 0x200;
  probe::say(probe::call(nest.iommufd, IOMMU_VDEVICE_ALLOC, arg), "a new vDEVICE of that device");
  const std::uint32_t next = probe::alloc_ioas(nest.iommufd);
  const std::uint32_t after = probe::alloc_ioas(nest.iommufd);
  probe::say_if(next != vdevice && after != vdevice, "its id is not given again");
  probe::say(probe::destroy(nest.iommufd, viommu), "DESTROY the vIOMMU");
  probe::say(probe::destroy(nest.iommufd, parent), "DESTROY its parent");
}
