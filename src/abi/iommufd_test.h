#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/iommufd.h"

/// The test interface of an iommufd, under its Linux names
/// (drivers/iommu/iommufd/iommufd_test.h): for kernels that were built with
/// CONFIG_IOMMUFD_TEST, and no stable ABI.
#define IOMMU_TEST_CMD _IO(IOMMUFD_TYPE, ::teeio::abi::IOMMUFD_CMD_BASE + 32)

namespace teeio::abi {

enum : std::uint32_t {
  IOMMU_TEST_OP_ADD_RESERVED = 1,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
  IOMMU_TEST_OP_ACCESS_PAGES,
  IOMMU_TEST_OP_ACCESS_RW,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
  IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
  IOMMU_TEST_OP_DIRTY,
  IOMMU_TEST_OP_MD_CHECK_IOTLB,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  IOMMU_TEST_OP_DEV_CHECK_CACHE,
  IOMMU_TEST_OP_TRIGGER_VEVENT,
  IOMMU_TEST_OP_PASID_ATTACH,
  IOMMU_TEST_OP_PASID_REPLACE,
  IOMMU_TEST_OP_PASID_DETACH,
  IOMMU_TEST_OP_PASID_CHECK_HWPT,
  IOMMU_TEST_OP_DMABUF_GET,
  IOMMU_TEST_OP_DMABUF_REVOKE,
};

/// What follows `op` depends on it: Linux's union, as the shapes that it has.
struct iommu_test_cmd {
  std::uint32_t size;
  std::uint32_t op;
  std::uint32_t id;
  std::uint32_t __reserved;
  union {
    std::uint32_t words[12];
    std::uint64_t longs[6];
    struct {
      std::uint32_t flags, out_access_pages_id;
      std::uint64_t iova, length, uptr;
    } access_pages;
    struct {
      std::uint64_t iova, length, uptr;
      std::uint32_t flags;
    } access_rw;
    struct {
      std::uint32_t flags;
      std::uint64_t iova, length, page_size, uptr, out_nr_dirty;
    } dirty;
    struct {
      std::uint64_t length, uptr;
      std::uint32_t refs;
    } check_refs;
    struct {
      std::uint32_t dev_id, pasid, grpid, perm;
      std::uint64_t addr;
    } trigger_iopf;
  };
  std::uint32_t last;
};
static_assert(sizeof(iommu_test_cmd) == 72 && offsetof(iommu_test_cmd, last) == 64);

}  // namespace teeio::abi
