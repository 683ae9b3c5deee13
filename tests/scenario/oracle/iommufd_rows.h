#pragma once

// iommufd's calls as rows, for random questions: of its mock device and of a real one.
#include <sys/eventfd.h>

#include "rows.h"

namespace probe::iommufd {

enum Kind : std::uint64_t {
  kIoas,
  kHwpt,
  kDevice,
  kMock,
  kAccess,
  kPages,
  kFault,
  kViommu,
  kVdevice,
  kVeventq,
  kQueue
};

inline Row row(const char* name, unsigned long number, std::uint32_t size,
               std::vector<Field> fields) {
  fields.insert(fields.begin(), {"size", 0, 4, Field::kSize});
  return {name, number, size, std::move(fields)};
}

inline const std::vector<Row>& rows() {
  using enum Field::Kind;
  static const std::vector<Row> all = {
      row("IOAS_ALLOC", IOMMU_IOAS_ALLOC, 12,
          {{"flags", 4, 4, kZero}, {"id", 8, 4, kOutId, {kIoas}}}),
      row("DESTROY", IOMMU_DESTROY, 8,
          {{"id",
            4,
            4,
            kId,
            {kIoas, kHwpt, kHwpt, kDevice, kMock, kAccess, kFault, kViommu, kVdevice, kVeventq,
             kQueue}}}),
      row("MAP", IOMMU_IOAS_MAP, 40,
          {{"flags", 4, 4, kWords, {7, 7, 7, 6, 5, 3, 1, 8}},
           {"ioas", 8, 4, kId, {kIoas}},
           {"reserved", 12, 4, kZero},
           {"va", 16, 8, kMemory},
           {"length", 24, 8, kLength},
           {"iova", 32, 8, kIova}}),
      row("MAP_FILE", IOMMU_IOAS_MAP_FILE, 40,
          {{"flags", 4, 4, kWords, {7, 7, 7, 6, 5}},
           {"ioas", 8, 4, kId, {kIoas}},
           {"fd", 12, 4, kFile},
           {"start", 16, 8, kWords, {0, 0, 0x1000, 0x2000, 0x800, 0x10000, ~0xfffUL}},
           {"length", 24, 8, kLength},
           {"iova", 32, 8, kIova}}),
      row("COPY", IOMMU_IOAS_COPY, 40,
          {{"flags", 4, 4, kWords, {7, 7, 7, 6, 5, 1}},
           {"dst", 8, 4, kId, {kIoas}},
           {"src", 12, 4, kId, {kIoas}},
           {"length", 16, 8, kLength},
           {"to", 24, 8, kIova},
           {"from", 32, 8, kIova}}),
      row("UNMAP", IOMMU_IOAS_UNMAP, 24,
          {{"ioas", 4, 4, kId, {kIoas}},
           {"iova", 8, 8, kIova},
           {"length", 16, 8, kLength},
           {"length", 16, 8, kOut}}),
      row("RANGES", IOMMU_IOAS_IOVA_RANGES, 32,
          {{"ioas", 4, 4, kId, {kIoas}},
           {"n", 8, 4, kWords, {0, 1, 2, 8}},
           {"reserved", 12, 4, kZero},
           {"at", 16, 8, kMemory},
           {"n", 8, 4, kOut},
           {"alignment", 24, 8, kOut}}),
      row("ALLOW", IOMMU_IOAS_ALLOW_IOVAS, 24,
          {{"ioas", 4, 4, kId, {kIoas}},
           {"n", 8, 4, kWords, {0, 0, 1, 2}},
           {"reserved", 12, 4, kZero},
           {"at", 16, 8, kMemory}}),
      row("OPTION", IOMMU_OPTION, 24,
          {{"option", 4, 4, kWords, {0, 1, 1, 2}},
           {"op", 8, 2, kWords, {0, 1, 1, 2}},
           {"reserved", 10, 2, kZero},
           {"object", 12, 4, kId, {kIoas, kIoas, kHwpt}},
           {"value", 16, 8, kWords, {0, 1, 2}},
           {"value", 16, 8, kOut}}),
      row("VFIO_IOAS", IOMMU_VFIO_IOAS, 12,
          {{"ioas", 4, 4, kId, {kIoas}},
           {"op", 8, 2, kWords, {0, 1, 2, 3}},
           {"reserved", 10, 2, kZero},
           {"ioas", 4, 4, kOut}}),
      row("CHANGE_PROCESS", IOMMU_IOAS_CHANGE_PROCESS, 8, {{"reserved", 4, 4, kZero}}),
      row("HW_INFO", IOMMU_GET_HW_INFO, 48,
          {{"flags", 4, 4, kWords, {0, 0, 1, 2}},
           {"device", 8, 4, kId, {kDevice}},
           {"length", 12, 4, kWords, {0, 8, 8, 4, 64}},
           {"data", 16, 8, kData},
           {"type", 24, 4, kWords, {0, 0, 0xfeedbeef, 1}},
           {"reserved", 29, 1, kZero},
           {"length", 12, 4, kOut},
           {"type", 24, 4, kOut},
           {"pasid", 28, 1, kOut},
           {"capabilities", 32, 8, kOut}}),
      row("HWPT_ALLOC", IOMMU_HWPT_ALLOC, 56,
          {{"flags", 4, 4, kFlags, {1, 2, 4, 8}},
           {"device", 8, 4, kId, {kDevice}},
           {"pt", 12, 4, kId, {kIoas, kIoas, kHwpt, kViommu}},
           {"id", 16, 4, kOutId, {kHwpt}},
           {"reserved", 20, 4, kZero},
           {"type", 24, 4, kWords, {0, 0, 0xdead, 0xdead, 1, 1}},
           {"length", 28, 4, kWords, {0, 8, 8, 4, 16, 5000}},
           {"data", 32, 8, kData},
           {"fault", 40, 4, kId, {kFault}},
           {"reserved2", 44, 4, kZero}}),
      row("HWPT_ALLOC plain", IOMMU_HWPT_ALLOC, 56,
          {{"flags", 4, 4, kWords, {0, 1, 1, 2, 8, 9}},
           {"device", 8, 4, kId, {kDevice}},
           {"pt", 12, 4, kId, {kIoas}},
           {"id", 16, 4, kOutId, {kHwpt}}}),
      row("HWPT_ALLOC nested", IOMMU_HWPT_ALLOC, 56,
          {{"flags", 4, 4, kWords, {0, 0, 4, 8}},
           {"device", 8, 4, kId, {kDevice}},
           {"pt", 12, 4, kId, {kHwpt, kViommu}},
           {"id", 16, 4, kOutId, {kHwpt}},
           {"type", 24, 4, kWords, {0xdead, 1}},
           {"length", 28, 4, kWords, {8, 8, 8, 4}},
           {"data", 32, 8, kData},
           {"fault", 40, 4, kId, {kFault}}}),
      row("SET_DIRTY", IOMMU_HWPT_SET_DIRTY_TRACKING, 16,
          {{"flags", 4, 4, kWords, {0, 1, 1, 2}},
           {"hwpt", 8, 4, kId, {kHwpt}},
           {"reserved", 12, 4, kZero}}),
      row("GET_DIRTY", IOMMU_HWPT_GET_DIRTY_BITMAP, 48,
          {{"hwpt", 4, 4, kId, {kHwpt}},
           {"flags", 8, 4, kWords, {0, 0, 1, 2}},
           {"reserved", 12, 4, kZero},
           {"iova", 16, 8, kIova},
           {"length", 24, 8, kLength},
           {"page", 32, 8, kWords, {0x1000, 0x1000, 0x800, 0, 0x2000, 0x3000}},
           {"data", 40, 8, kMemory}}),
      row("INVALIDATE", IOMMU_HWPT_INVALIDATE, 32,
          {{"hwpt", 4, 4, kId, {kHwpt, kHwpt, kViommu}},
           {"data", 8, 8, kData},
           {"type", 16, 4, kWords, {0xdeadbeef, 0, 0, 1}},
           {"entry", 20, 4, kWords, {8, 12, 16, 4, 0}},
           {"n", 24, 4, kWords, {1, 1, 2, 0}},
           {"reserved", 28, 4, kZero},
           {"n", 24, 4, kOut}}),
      row("FAULT_ALLOC", IOMMU_FAULT_QUEUE_ALLOC, 16,
          {{"flags", 4, 4, kZero}, {"id", 8, 4, kOutId, {kFault}}}),
      row("VIOMMU_ALLOC", IOMMU_VIOMMU_ALLOC, 40,
          {{"flags", 4, 4, kZero},
           {"type", 8, 4, kWords, {0xdeadbeef, 0xdeadbeef, 0xdeadbeef, 0, 1, 2}},
           {"device", 12, 4, kId, {kDevice}},
           {"hwpt", 16, 4, kId, {kHwpt}},
           {"id", 20, 4, kOutId, {kViommu}},
           {"length", 24, 4, kWords, {0, 24, 24, 8, 4}},
           {"reserved", 28, 4, kZero},
           {"data", 32, 8, kData}}),
      row("VDEVICE_ALLOC", IOMMU_VDEVICE_ALLOC, 24,
          {{"viommu", 4, 4, kId, {kViommu}},
           {"device", 8, 4, kId, {kDevice}},
           {"id", 12, 4, kOutId, {kVdevice}},
           {"virtual", 16, 8, kWords, {0, 1, 2, 3, 1UL << 32U, ~0UL}}}),
      row("VEVENTQ_ALLOC", IOMMU_VEVENTQ_ALLOC, 32,
          {{"flags", 4, 4, kZero},
           {"viommu", 8, 4, kId, {kViommu}},
           {"type", 12, 4, kWords, {0xbeefbeef, 0xbeefbeef, 0, 1}},
           {"depth", 16, 4, kWords, {1, 2, 16, 0, 0x80000000}},
           {"id", 20, 4, kOutId, {kVeventq}},
           {"reserved", 28, 4, kZero}}),
      row("HW_QUEUE_ALLOC", IOMMU_HW_QUEUE_ALLOC, 40,
          {{"flags", 4, 4, kZero},
           {"viommu", 8, 4, kId, {kViommu}},
           {"type", 12, 4, kWords, {0xdeadbeef, 0xdeadbeef, 0, 1}},
           {"index", 16, 4, kWords, {0, 1, 2}},
           {"id", 20, 4, kOutId, {kQueue}},
           {"iova", 24, 8, kIova},
           {"length", 32, 8, kLength}}),
      row("no such call", _IO(IOMMUFD_TYPE, 0xb0), 16, {{"word", 4, 4, kWords, {0, 1}}}),
  };
  return all;
}

/// The row of that name. Ends the program when there is none.
inline const Row& find(const std::vector<Row>& rows, const char* name) {
  for (const Row& row : rows)
    if (strcmp(row.name, name) == 0) return row;
  give_up(name);
}

/// Files that can be mapped, and files that cannot.
inline void add_files(Asker& asker, int iommufd) {
  const int memfd = memfd_create("m", 0), sealed = memfd_create("s", MFD_ALLOW_SEALING);
  if (ftruncate(memfd, 0x10000) != 0 || ftruncate(sealed, 0x4000) != 0) give_up("ftruncate");
  asker.files = {{"memfd", memfd},   {"memfd", memfd},         {"memfd", memfd},
                 {"sealed", sealed}, {"event", eventfd(0, 0)}, {"iommufd", iommufd}};
}

}  // namespace probe::iommufd
