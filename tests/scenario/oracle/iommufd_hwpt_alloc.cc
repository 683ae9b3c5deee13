// HWPT_ALLOC: what may be the parent, which flags, and in which order things die.
#include "probe.h"

namespace {

probe::BoundDevice bound;

std::uint32_t alloc(const char* what, std::uint32_t pt_id, std::uint32_t flags, std::uint32_t devid,
                    std::uint32_t data_type = IOMMU_HWPT_DATA_NONE) {
  iommu_hwpt_alloc arg = {};
  arg.size = sizeof(arg);
  arg.flags = flags;
  arg.dev_id = devid;
  arg.pt_id = pt_id;
  arg.data_type = data_type;
  probe::say(probe::call(bound.iommufd, IOMMU_HWPT_ALLOC, arg), "%s", what);
  return arg.out_hwpt_id;
}

}  // namespace

int main() {
  bound = probe::open_bound();
  const std::uint32_t ioas = probe::alloc_ioas(bound.iommufd);
  const std::uint32_t devid = bound.devid;

  alloc("no such device", ioas, 0, 99);
  alloc("no such page table", 99, 0, devid);
  alloc("an IOAS as device", ioas, 0, ioas);
  alloc("a device as page table", devid, 0, devid);
  alloc("unknown flag", ioas, 1U << 31, devid);
  alloc("fault id without a queue", ioas, IOMMU_HWPT_FAULT_ID_VALID, devid);
  alloc("data of an unknown type", ioas, 0, devid, 77);
  iommu_hwpt_alloc arg = {};
  arg.size = sizeof(arg);
  arg.dev_id = devid;
  arg.pt_id = ioas;
  arg.__reserved = 1;
  probe::say(probe::call(bound.iommufd, IOMMU_HWPT_ALLOC, arg), "reserved word set");
  arg.__reserved = 0;
  arg.data_len = 8;
  probe::say(probe::call(bound.iommufd, IOMMU_HWPT_ALLOC, arg), "data length without a type");

  const std::uint32_t hwpt = alloc("paging domain", ioas, 0, devid);
  const std::uint32_t second = alloc("a second one", ioas, 0, devid);
  alloc("child of a plain domain, no data", hwpt, 0, devid);
  alloc("child of a plain domain, nesting parent", hwpt, IOMMU_HWPT_ALLOC_NEST_PARENT, devid);

  probe::say(probe::destroy(bound.iommufd, ioas), "DESTROY the IOAS under them");
  probe::say(probe::attach(bound.device, hwpt), "attach the device to the first");
  probe::say(probe::destroy(bound.iommufd, hwpt), "DESTROY the attached domain");
  probe::say(probe::attach(bound.device, second), "replace it by the second");
  probe::say(probe::destroy(bound.iommufd, hwpt), "DESTROY the replaced domain");
  probe::say(probe::destroy(bound.iommufd, devid), "DESTROY the device");
  close(bound.device);
  probe::say(probe::destroy(bound.iommufd, devid), "DESTROY the device after close");
  probe::say(probe::destroy(bound.iommufd, second), "DESTROY the second domain after close");
  probe::say(probe::destroy(bound.iommufd, ioas), "DESTROY the IOAS after all");
}
