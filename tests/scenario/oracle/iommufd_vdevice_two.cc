// Two devices under one vIOMMU.
#include "nest.h"

namespace {

long alloc(const probe::NestDevice& nest, std::uint32_t viommu, std::uint32_t devid,
           std::uint64_t virt_id, std::uint32_t* id) {
  iommu_vdevice_alloc arg = {};
  arg.size = sizeof(arg);
  arg.viommu_id = viommu;
  arg.dev_id = devid;
  arg.virt_id = virt_id;
  const long result = probe::call(nest.iommufd, IOMMU_VDEVICE_ALLOC, arg);
  *id = arg.out_vdevice_id;
  return result;
}

}  // namespace

int main() {
  const probe::NestDevice nest = probe::open_nest();
  const probe::NestDevice other = probe::open_second(nest);
  const std::uint32_t parent = probe::alloc_hwpt(nest, nest.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
  const std::uint32_t viommu = probe::alloc_viommu(nest, parent);
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  probe::say(alloc(nest, viommu, nest.devid, 0x100, &first), "a vDEVICE");
  probe::say(alloc(nest, viommu, other.devid, 0x100, &second), "the other device, same virtual id");
  probe::say(alloc(nest, viommu, other.devid, 0x101, &second), "the other device, another one");
  probe::say_if(second != first, "their ids differ");

  const std::uint32_t viommu2 = probe::alloc_viommu(nest, parent);
  probe::say(probe::destroy(nest.iommufd, second), "DESTROY the second");
  probe::say(alloc(nest, viommu2, other.devid, 0x100, &second),
             "a second vIOMMU, the first's virtual id");
  probe::say(alloc(nest, viommu2, nest.devid, 0x200, &second), "the first device there as well");

  probe::close_nest_device(other);
  probe::say(probe::destroy(nest.iommufd, viommu2), "DESTROY the second vIOMMU, its device gone");
  probe::say(probe::destroy(nest.iommufd, first), "DESTROY the first vDEVICE");
  probe::say(probe::destroy(nest.iommufd, viommu), "DESTROY the first vIOMMU");
}
