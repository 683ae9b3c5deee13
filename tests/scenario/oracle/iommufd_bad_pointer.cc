// Arguments that cannot be read or written.
#include "probe.h"

int main() {
  const int iommufd = probe::open_iommufd();
  probe::say(ioctl(iommufd, IOMMU_IOAS_ALLOC, nullptr), "null pointer");
  probe::say(ioctl(iommufd, IOMMU_IOAS_ALLOC, probe::nowhere()), "unmapped pointer");
  probe::say(ioctl(iommufd, _IO(IOMMUFD_TYPE, 0xbf), nullptr), "unknown number, null pointer");

  // The size word is the last one that can be read.
  std::byte* memory = probe::pages(2);
  munmap(memory + probe::kPage, probe::kPage);
  const std::uint32_t size = sizeof(iommu_ioas_alloc);
  memcpy(memory + probe::kPage - 4, &size, sizeof(size));
  probe::say(ioctl(iommufd, IOMMU_IOAS_ALLOC, memory + probe::kPage - 4), "struct ends too early");

  // Readable, not writable: the answer cannot be copied back.
  memcpy(memory, &size, sizeof(size));
  mprotect(memory, probe::kPage, PROT_READ);
  probe::say(ioctl(iommufd, IOMMU_IOAS_ALLOC, memory), "read-only struct");

  // An IOAS that could not be named is gone: the next one has the first id.
  probe::say_value(probe::alloc_ioas(iommufd), "id after all that");

  // Unaligned is no error.
  std::byte* odd = probe::pages(1) + 1;
  memcpy(odd, &size, sizeof(size));
  probe::say(ioctl(iommufd, IOMMU_IOAS_ALLOC, odd), "odd address");
}
