// The size word of an extensible struct, with IOAS_ALLOC (12 bytes) and
// HWPT_ALLOC (48 bytes, of which the first release had 24) as the examples.
#include "probe.h"

namespace {

// `size` is claimed in a buffer of two pages, behind which nothing can be read;
// byte `dirty` of it is not zero.
long ioas_alloc(int iommufd, std::uint32_t size, int dirty) {
  std::byte* memory = probe::pages(3);
  mprotect(memory + 2 * probe::kPage, probe::kPage, PROT_NONE);
  memcpy(memory, &size, sizeof(size));
  if (dirty >= 0) memory[dirty] = std::byte{1};
  const long result = ioctl(iommufd, IOMMU_IOAS_ALLOC, memory);
  const int error = errno;
  munmap(memory, 3 * probe::kPage);
  errno = error;
  return result;
}

}  // namespace

int main() {
  const int iommufd = probe::open_iommufd();
  for (const std::uint32_t size : {0U, 4U, 8U, 11U, 12U, 13U, 16U, 4096U, 8192U}) {
    probe::say(ioas_alloc(iommufd, size, -1), "size %u, the rest is zero", size);
  }
  probe::say(ioas_alloc(iommufd, 16, 12), "size 16, first byte of the tail set");
  probe::say(ioas_alloc(iommufd, 16, 15), "size 16, last byte of the tail set");
  probe::say(ioas_alloc(iommufd, 12, 12), "size 12, the byte behind it set");
  probe::say(ioas_alloc(iommufd, 8192, 8191), "size 8192, last byte set");
  probe::say(ioas_alloc(iommufd, 8193, -1), "size reaches into unmapped memory");
  probe::say(ioas_alloc(iommufd, 8193, 100), "the same, but a byte before it is set");
  probe::say(ioas_alloc(iommufd, 0xffffffff, -1), "size 0xffffffff");

  struct {
    iommu_hwpt_alloc hwpt;
    std::uint64_t tail;
  } arg = {};
  for (const std::uint32_t size : {20U, 23U, 24U, 25U, 40U, 48U, 56U}) {
    arg.hwpt.size = size;
    probe::say(probe::call(iommufd, IOMMU_HWPT_ALLOC, arg), "HWPT_ALLOC of nothing, size %u", size);
  }
}
