// A nesting parent: who may be its child, and who its parent.
#include "nest.h"

namespace {

probe::NestDevice nest;

std::uint32_t alloc(const char* what, std::uint32_t pt_id, std::uint32_t flags) {
  iommu_hwpt_alloc arg = {};
  arg.size = sizeof(arg);
  arg.flags = flags;
  arg.dev_id = nest.devid;
  arg.pt_id = pt_id;
  probe::say(probe::call(nest.iommufd, IOMMU_HWPT_ALLOC, arg), "%s", what);
  return arg.out_hwpt_id;
}

}  // namespace

int main() {
  nest = probe::open_nest();
  const std::uint32_t parent = alloc("nesting parent", nest.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
  alloc("parent of a parent", parent, IOMMU_HWPT_ALLOC_NEST_PARENT);
  alloc("child without data", parent, 0);
  probe::say(probe::destroy(nest.iommufd, nest.ioas), "DESTROY the IOAS");
  probe::close_nest_device(nest);
  probe::say(probe::destroy(nest.iommufd, nest.ioas), "DESTROY the IOAS, its device gone");
  probe::say(probe::destroy(nest.iommufd, parent), "DESTROY the parent");
  probe::say(probe::destroy(nest.iommufd, nest.ioas), "DESTROY the IOAS, its parent gone");
}
