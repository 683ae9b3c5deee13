// VIOMMU_ALLOC: the order of its checks, and who keeps whom alive.
#include "nest.h"

namespace {

probe::NestDevice nest;

std::uint32_t alloc(const char* what, std::uint32_t type, std::uint32_t hwpt, std::uint32_t devid,
                    std::uint32_t flags = 0) {
  iommu_viommu_alloc arg = {};
  arg.size = sizeof(arg);
  arg.flags = flags;
  arg.type = type;
  arg.dev_id = devid;
  arg.hwpt_id = hwpt;
  probe::say(probe::call(nest.iommufd, IOMMU_VIOMMU_ALLOC, arg), "%s", what);
  return arg.out_viommu_id;
}

}  // namespace

int main() {
  nest = probe::open_nest();
  const std::uint32_t devid = nest.devid;
  const std::uint32_t type = nest.viommu_type;
  const std::uint32_t plain = probe::alloc_hwpt(nest, nest.ioas, 0);
  const std::uint32_t parent = probe::alloc_hwpt(nest, nest.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);

  alloc("default type", IOMMU_VIOMMU_TYPE_DEFAULT, parent, devid);
  alloc("default type, no such device", IOMMU_VIOMMU_TYPE_DEFAULT, parent, 99);
  alloc("another vendor's type", IOMMU_VIOMMU_TYPE_ARM_SMMUV3, parent, devid);
  alloc("a type far beyond the last", 1000, parent, devid);
  alloc("a type far beyond the last, no such domain", 1000, 99, devid);
  alloc("a type far beyond the last, no such device", 1000, parent, 99);
  alloc("a flag", type, parent, devid, 1);
  alloc("no such device", type, parent, 99);
  alloc("no such domain", type, 99, devid);
  alloc("an IOAS as domain", type, nest.ioas, devid);
  alloc("a domain as device", type, parent, plain);
  alloc("a domain that is no nesting parent", type, plain, devid);

  const std::uint32_t viommu = alloc("a nesting parent", type, parent, devid);
  const std::uint32_t second = alloc("a second one on the same parent", type, parent, devid);
  probe::say(probe::destroy(nest.iommufd, parent), "DESTROY the parent of both");
  probe::say(probe::destroy(nest.iommufd, viommu), "DESTROY the first");
  probe::say(probe::destroy(nest.iommufd, parent), "DESTROY the parent of one");
  probe::close_nest_device(nest);
  probe::say(probe::destroy(nest.iommufd, second), "DESTROY the second, its device gone");
  probe::say(probe::destroy(nest.iommufd, parent), "DESTROY the parent of none");
}
