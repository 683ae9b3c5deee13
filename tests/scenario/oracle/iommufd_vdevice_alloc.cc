// VDEVICE_ALLOC: what is refused, and that a device has one vDEVICE.
#include "nest.h"

namespace {

probe::NestDevice nest;

std::uint32_t alloc(const char* what, std::uint32_t viommu, std::uint32_t devid,
                    std::uint64_t virt_id) {
  iommu_vdevice_alloc arg = {};
  arg.size = sizeof(arg);
  arg.viommu_id = viommu;
  arg.dev_id = devid;
  arg.virt_id = virt_id;
  probe::say(probe::call(nest.iommufd, IOMMU_VDEVICE_ALLOC, arg), "%s", what);
  return arg.out_vdevice_id;
}

}  // namespace

int main() {
  nest = probe::open_nest();
  const std::uint32_t parent = probe::alloc_hwpt(nest, nest.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
  const std::uint32_t viommu = probe::alloc_viommu(nest, parent);
  const std::uint32_t devid = nest.devid;

  alloc("no such vIOMMU", 99, devid, 0x100);
  alloc("no such device", viommu, 99, 0x100);
  alloc("device and vIOMMU exchanged", devid, viommu, 0x100);
  alloc("a domain as vIOMMU", parent, devid, 0x100);

  const std::uint32_t vdevice = alloc("a vDEVICE", viommu, devid, 0x100);
  alloc("a second one, same virtual id", viommu, devid, 0x100);
  alloc("a second one, another virtual id", viommu, devid, 0x200);
  probe::say(probe::destroy(nest.iommufd, viommu), "DESTROY the vIOMMU under it");
  probe::say(probe::destroy(nest.iommufd, vdevice), "DESTROY the vDEVICE");
  probe::say(probe::destroy(nest.iommufd, vdevice), "DESTROY it again");
  const std::uint32_t again = alloc("another one", viommu, devid, 0x200);
  probe::say_if(again == vdevice, "it has the id of the first");

  struct {
    iommu_vdevice_alloc alloc;
    std::uint64_t tail;
  } arg = {};
  for (const std::uint32_t size : {16U, 20U, 24U, 32U}) {
    arg.alloc.size = size;
    arg.alloc.viommu_id = viommu;
    arg.alloc.dev_id = devid;
    probe::say(probe::call(nest.iommufd, IOMMU_VDEVICE_ALLOC, arg), "size %u", size);
  }
}
