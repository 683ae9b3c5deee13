// What /proc/PID/status says of pinned pages, and what RLIMIT_MEMLOCK lets be pinned:
// Linux drivers/iommu/iommufd/pages.c, iopt_pages_update_pinned(), and ioas.c,
// iommufd_ioas_change_process().
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "abi/iommufd_test.h"

namespace {

constexpr std::size_t kPage = 4096;
int iommufd = -1;
std::uint32_t ioas = 0;

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "charges: %s (%s)\n", what, std::strerror(errno));
  std::exit(1);
}

long status(pid_t pid, const char* name) {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/status", pid);
  std::FILE* const file = std::fopen(path, "r");
  check(file != nullptr, path);
  char line[256];
  long value = -1;
  while (std::fgets(line, sizeof(line), file) != nullptr)
    if (std::strncmp(line, name, std::strlen(name)) == 0)
      value = std::atol(line + std::strlen(name));
  std::fclose(file);
  return value;
}
long pinned(pid_t pid) { return status(pid, "VmPin:"); }

/// Gives up what takes the limit away, and says whether the limit's mode may be set: root may,
/// also in a container that took it from root.
bool drop_ipc_lock() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  check(syscall(SYS_capget, &header, data) == 0, "capget");
  if (geteuid() == 0 && (data[0].effective >> CAP_IPC_LOCK & 1U) == 0) {
    std::puts("root has no CAP_IPC_LOCK here that it could give up");
    std::exit(77);
  }
  data[0].effective &= ~(1U << CAP_IPC_LOCK);
  check(syscall(SYS_capset, &header, data) == 0, "capset");
  return geteuid() == 0;
}

void begin(bool by_mm) {
  iommufd = open("/dev/iommu", O_RDWR);
  check(iommufd >= 0, "/dev/iommu");
  if (by_mm) {
    teeio::abi::iommu_option option = {};
    option.size = sizeof(option);
    option.option_id = teeio::abi::IOMMU_OPTION_RLIMIT_MODE;
    option.op = teeio::abi::IOMMU_OPTION_OP_SET;
    option.val64 = 1;
    check(ioctl(iommufd, IOMMU_OPTION, &option) == 0, "IOMMU_OPTION_RLIMIT_MODE");
  }
  teeio::abi::iommu_ioas_alloc alloc = {};
  alloc.size = sizeof(alloc);
  check(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) == 0, "IOMMU_IOAS_ALLOC");
  ioas = alloc.out_ioas_id;
  teeio::abi::iommu_test_cmd function = {};
  function.size = sizeof(function);
  function.op = teeio::abi::IOMMU_TEST_OP_MOCK_DOMAIN;
  function.id = ioas;
  check(ioctl(iommufd, IOMMU_TEST_CMD, &function) == 0, "a mock function");
}

/// -1: refused. From a memfd, or from memory.
int map(int memfd, void* memory, std::uint64_t pages, std::uint64_t iova) {
  if (memory == nullptr) {
    teeio::abi::iommu_ioas_map_file arg = {};
    arg.size = sizeof(arg);
    arg.flags = 7;
    arg.ioas_id = ioas;
    arg.fd = memfd;
    arg.length = pages * kPage;
    arg.iova = iova;
    return ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &arg);
  }
  teeio::abi::iommu_ioas_map arg = {};
  arg.size = sizeof(arg);
  arg.flags = 7;
  arg.ioas_id = ioas;
  arg.user_va = reinterpret_cast<std::uintptr_t>(memory);
  arg.length = pages * kPage;
  arg.iova = iova;
  return ioctl(iommufd, IOMMU_IOAS_MAP, &arg);
}

void unmap(std::uint64_t iova, std::uint64_t pages) {
  teeio::abi::iommu_ioas_unmap arg = {};
  arg.size = sizeof(arg);
  arg.ioas_id = ioas;
  arg.iova = iova;
  arg.length = pages * kPage;
  check(ioctl(iommufd, IOMMU_IOAS_UNMAP, &arg) == 0, "IOMMU_IOAS_UNMAP");
}

constexpr std::uint64_t kFirst = 1U << 24U, kSecond = kFirst + 16 * kPage;

void limited(void* memory) {
  begin(false);
  check(map(-1, memory, 2, kFirst) == 0, "two pages of four");
  check(pinned(getpid()) == 8, "two pages are not in VmPin");
  check(status(getpid(), "VmLck:") == 0, "the user's pages are in VmLck");
  check(map(-1, memory, 3, kSecond) == -1 && errno == ENOMEM, "five pages of four");
  check(pinned(getpid()) == 8, "what was refused is in VmPin");
  unmap(kFirst, 2);
  check(pinned(getpid()) == 0, "unmapped pages are in VmPin");
  check(map(-1, memory, 4, kSecond) == 0, "four pages of four");
  close(iommufd);
}

void handed_over(int memfd, bool by_mm) {
  begin(by_mm);
  check(map(memfd, nullptr, 2, kFirst) == 0, "two pages of a memfd");
  check(by_mm == (status(getpid(), "VmLck:") == 8), "VmLck");
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    teeio::abi::iommu_ioas_change_process arg = {};
    arg.size = sizeof(arg);
    check(pinned(parent) == 8 && pinned(getpid()) == 0, "before the change");
    check(ioctl(iommufd, IOMMU_IOAS_CHANGE_PROCESS, &arg) == 0, "IOMMU_IOAS_CHANGE_PROCESS");
    check(pinned(parent) == 0 && pinned(getpid()) == 8, "after the change");
    std::_Exit(0);
  }
  int left = 0;
  check(waitpid(child, &left, 0) == child && left == 0, "the child");
  check(pinned(getpid()) == 0, "the parent pays for the dead");
  close(iommufd);
}

}  // namespace

int main() {
  const rlimit four = {4 * kPage, 4 * kPage};
  check(setrlimit(RLIMIT_MEMLOCK, &four) == 0, "setrlimit");
  const bool may_set_mode = drop_ipc_lock();
  void* const memory =
      mmap(nullptr, 8 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const int memfd = memfd_create("pages", 0);
  check(memory != MAP_FAILED && memfd >= 0 && ftruncate(memfd, 8 * kPage) == 0, "memory");
  limited(memory);
  handed_over(memfd, false);
  if (may_set_mode) handed_over(memfd, true);
  std::puts("charged as it should be");
}
