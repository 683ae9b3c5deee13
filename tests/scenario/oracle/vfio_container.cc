// A container before and after it has an IOMMU: extensions, info, unknown calls.
#include "group.h"

namespace {

void extensions(int container) {
  for (const long which : {0L, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L, 11L, -1L})
    probe::say_value(ioctl(container, VFIO_CHECK_EXTENSION, which), "CHECK_EXTENSION %ld", which);
}

void info(int container, std::uint32_t argsz) {
  struct {
    vfio_iommu_type1_info info;
    std::uint64_t chain[64];
  } arg = {};
  arg.info.argsz = argsz;
  probe::say(probe::call(container, VFIO_IOMMU_GET_INFO, arg), "GET_INFO, argsz %u", argsz);
  probe::say_if(arg.info.flags == (VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS),
                "  page sizes and capabilities");
  probe::say_if(arg.info.argsz > argsz, "  argsz grew");
  probe::say_value(arg.info.cap_offset, "  cap_offset");
  for (std::uint32_t at = arg.info.cap_offset; at != 0;) {
    vfio_info_cap_header header;
    memcpy(&header, reinterpret_cast<char*>(&arg) + at, sizeof(header));
    printf("  at %u: capability %u, version %u, next %u\n", at, header.id, header.version,
           header.next);
    if (header.id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION) {
      vfio_iommu_type1_info_cap_migration cap;
      memcpy(&cap, reinterpret_cast<char*>(&arg) + at, sizeof(cap));
      printf("    flags %u, page size %llu, bitmap up to %llu\n", cap.flags, cap.pgsize_bitmap,
             cap.max_dirty_bitmap_size);
    }
    if (header.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
      vfio_iommu_type1_info_dma_avail cap;
      memcpy(&cap, reinterpret_cast<char*>(&arg) + at, sizeof(cap));
      printf("    %u mappings left\n", cap.avail);
    }
    at = header.next;
  }
}

}  // namespace

int main() {
  const int container = probe::open_container();
  probe::say_value(ioctl(container, VFIO_GET_API_VERSION), "GET_API_VERSION");
  extensions(container);
  probe::say(ioctl(container, VFIO_IOMMU_GET_INFO, nullptr), "GET_INFO without an IOMMU");
  probe::say(ioctl(container, VFIO_IOMMU_DIRTY_PAGES, nullptr), "DIRTY_PAGES without an IOMMU");
  probe::say(ioctl(container, _IO(VFIO_TYPE, 99), nullptr), "unknown call without an IOMMU");
  probe::say(ioctl(container, VFIO_GROUP_GET_STATUS, nullptr), "a group's call without an IOMMU");
  const int group = probe::open_group();
  probe::set_container(group, container);
  extensions(container);
  probe::say(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
  for (const long which : {1L, 3L, 6L, 8L, 9L, 10L, 11L})
    probe::say_value(ioctl(container, VFIO_CHECK_EXTENSION, which), "CHECK_EXTENSION %ld", which);
  probe::say(ioctl(container, VFIO_IOMMU_GET_INFO, nullptr), "GET_INFO at null");
  for (const std::uint32_t argsz : {15U, 16U, 20U, 24U, 512U}) info(container, argsz);
  probe::say(ioctl(container, _IO(VFIO_TYPE, 99), nullptr), "unknown call");
  probe::say(ioctl(container, VFIO_GROUP_GET_STATUS, nullptr), "a group's call");
  probe::say(ioctl(container, VFIO_IOMMU_ENABLE, nullptr), "ENABLE, of another IOMMU");
}
