// GET_HW_INFO on a machine with an Intel IOMMU: type, length, truncation, tail.
#include "probe.h"

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  std::byte* memory = probe::pages(1);
  memset(memory, 0xaa, probe::kPage);
  iommu_hw_info arg = {};
  arg.size = sizeof(arg);
  arg.dev_id = bound.devid;
  arg.data_uptr = probe::address_of(memory);

  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "no room");
  printf("  type %u, length %u\n", arg.out_data_type, arg.data_len);
  arg.in_data_type = 0;
  arg.data_len = 8;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "room for 8");
  printf("  length %u, byte 8 was %swritten\n", arg.data_len,
         memory[8] == std::byte{0xaa} ? "not " : "");
  arg.in_data_type = 0;
  arg.data_len = 64;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "room for 64");
  printf("  length %u, byte 63 is %s, byte 64 is %s\n", arg.data_len,
         memory[63] == std::byte{0} ? "zero" : "kept",
         memory[64] == std::byte{0} ? "zero" : "kept");

  iommu_hw_info_vtd vtd = {};
  memcpy(&vtd, memory, sizeof(vtd));
  probe::say_if(vtd.__reserved == 0, "reserved word is zero");
  probe::say_if(((vtd.cap_reg >> 8) & 0x1f) != 0, "CAP.SAGAW says something");

  arg.data_uptr = 0x1000;
  arg.in_data_type = 0;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "memory that is not there");
  arg.data_uptr = 0;
  arg.data_len = 8;
  arg.in_data_type = 0;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "room for 8 at null");
  arg.data_len = 0;
  arg.in_data_type = 3;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "a type without the flag");
  arg.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
  arg.in_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "SMMUv3's type asked for");
  arg.in_data_type = IOMMU_HW_INFO_TYPE_DEFAULT;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "the default type asked for");
  arg.flags = 2;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "unknown flag");
  arg.flags = 0;
  arg.in_data_type = 0;
  arg.__reserved[0] = 1;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "reserved byte set");
  arg.__reserved[0] = 0;
  arg.dev_id = 99;
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "no such device");
  arg.dev_id = probe::alloc_ioas(bound.iommufd);
  probe::say(probe::call(bound.iommufd, IOMMU_GET_HW_INFO, arg), "an IOAS");
}
