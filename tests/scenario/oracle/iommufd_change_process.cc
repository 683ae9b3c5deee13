// IOAS_CHANGE_PROCESS: allowed while every mapping is a memfd's, from any process.
#include <sys/wait.h>

#include "probe.h"

namespace {

int iommufd;

long change(std::uint32_t reserved = 0) {
  iommu_ioas_change_process arg = {sizeof(arg), reserved};
  return probe::call(iommufd, IOMMU_IOAS_CHANGE_PROCESS, arg);
}

void map(std::uint32_t ioas, const void* memory, std::uint64_t iova) {
  iommu_ioas_map arg = {};
  arg.size = sizeof(arg);
  arg.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
  arg.ioas_id = ioas;
  arg.user_va = probe::address_of(memory);
  arg.length = probe::kPage;
  arg.iova = iova;
  if (probe::call(iommufd, IOMMU_IOAS_MAP, arg) != 0) probe::give_up("IOMMU_IOAS_MAP");
}

void unmap(std::uint32_t ioas, std::uint64_t iova) {
  iommu_ioas_unmap arg = {sizeof(arg), ioas, iova, probe::kPage};
  if (probe::call(iommufd, IOMMU_IOAS_UNMAP, arg) != 0) probe::give_up("IOMMU_IOAS_UNMAP");
}

}  // namespace

int main() {
  iommufd = probe::open_iommufd();
  probe::say(change(1), "reserved word set");
  probe::say(change(), "without an IOAS");
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  probe::say(change(), "nothing is mapped");

  const int memfd = memfd_create("m", 0);
  if (ftruncate(memfd, 2 * probe::kPage) != 0) probe::give_up("ftruncate");
  iommu_ioas_map_file file = {};
  file.size = sizeof(file);
  file.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE;
  file.ioas_id = ioas;
  file.fd = memfd;
  file.length = probe::kPage;
  file.iova = 0x10000;
  probe::say(probe::call(iommufd, IOMMU_IOAS_MAP_FILE, file), "map a memfd");
  probe::say(change(), "a memfd");

  map(ioas, probe::pages(1), 0x20000);
  probe::say(change(), "a memfd and anonymous memory");
  probe::say(change(1), "the same, reserved word set");
  unmap(ioas, 0x20000);
  const std::uint32_t other = probe::alloc_ioas(iommufd);
  void* shared = mmap(nullptr, probe::kPage, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  map(other, shared, 0x20000);
  probe::say(change(), "a memfd's memory by address, in another IOAS");
  probe::say(probe::destroy(iommufd, other), "DESTROY that IOAS");
  probe::say(change(), "the memfd again");

  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    probe::say(change(), "from a child");
    fflush(stdout);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  probe::say(change(), "back in the parent");
}
