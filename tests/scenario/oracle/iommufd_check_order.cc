// Which of several mistakes in one call is answered, and fields that are not looked at.
#include "probe.h"

namespace {

int iommufd;
std::uint32_t ioas;
constexpr std::uint32_t kNone = 999;

/// So many ranges, of which those behind the first cannot be read.
long allow(std::uint32_t id, std::uint32_t count, iommu_iova_range first) {
  std::byte* const memory = probe::pages(2);
  munmap(memory + probe::kPage, probe::kPage);
  std::byte* const at = memory + probe::kPage - sizeof(first);
  memcpy(at, &first, sizeof(first));
  iommu_ioas_allow_iovas arg = {};
  arg.size = sizeof(arg);
  arg.ioas_id = id;
  arg.num_iovas = count;
  arg.allowed_iovas = reinterpret_cast<std::uintptr_t>(at);
  return ioctl(iommufd, IOMMU_IOAS_ALLOW_IOVAS, &arg);
}

long map_file(std::uint32_t id, std::uint32_t flags, std::uint64_t start, std::uint64_t length) {
  iommu_ioas_map_file arg = {};
  arg.size = sizeof(arg);
  arg.flags = flags;
  arg.ioas_id = id;
  arg.fd = 9999;
  arg.start = start;
  arg.length = length;
  return ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &arg);
}

iommu_option option(std::uint32_t which, std::uint16_t op, std::uint32_t object) {
  iommu_option arg = {};
  arg.size = sizeof(arg);
  arg.option_id = which;
  arg.op = op;
  arg.object_id = object;
  return arg;
}

void ask_option(const iommu_option& request, const char* what) {
  iommu_option arg = request;
  probe::say(ioctl(iommufd, IOMMU_OPTION, &arg), "%s", what);
}

}  // namespace

int main() {
  iommufd = probe::open_iommufd();
  ioas = probe::alloc_ioas(iommufd);
  probe::say(allow(kNone, 2, {0, 0xffff}), "allow: no IOAS, a range cannot be read");
  probe::say(allow(ioas, 2, {0, 0xffff}), "allow: the second range cannot be read");
  probe::say(allow(ioas, 2, {5, 5}), "allow: the first is empty, the second cannot be read");
  probe::say(allow(ioas, 1, {5, 4}), "allow: a range that ends before it begins");

  constexpr std::uint32_t kRead = IOMMU_IOAS_MAP_READABLE;
  probe::say(map_file(ioas, 0, 0, probe::kPage), "map file: no descriptor, no access");
  probe::say(map_file(ioas, 1U << 7U, 0, probe::kPage), "map file: no descriptor, unknown flag");
  probe::say(map_file(kNone, kRead, 0, probe::kPage), "map file: no descriptor, no IOAS");
  probe::say(map_file(ioas, kRead, 0, 0), "map file: no descriptor, length 0");
  probe::say(map_file(ioas, kRead, ~0ULL - 4095, 2 * probe::kPage),
             "map file: no descriptor, the file wraps");
  probe::say(map_file(ioas, kRead, 0, probe::kPage), "map file: no descriptor");

  iommu_hwpt_alloc hwpt = {};
  hwpt.size = sizeof(hwpt);
  hwpt.dev_id = kNone;
  hwpt.__reserved2 = 1;
  probe::say(ioctl(iommufd, IOMMU_HWPT_ALLOC, &hwpt), "hwpt: no device, __reserved2");
  hwpt.__reserved = 1;
  probe::say(ioctl(iommufd, IOMMU_HWPT_ALLOC, &hwpt), "hwpt: no device, __reserved");

  ask_option(option(IOMMU_OPTION_HUGE_PAGES, 2, kNone), "option: no IOAS, operation 2");
  ask_option(option(IOMMU_OPTION_HUGE_PAGES, 2, ioas), "option: operation 2");
  ask_option(option(IOMMU_OPTION_RLIMIT_MODE, 2, 0), "option: operation 2 of the limit's mode");
  ask_option(option(7, 2, kNone), "option: option 7");
  auto* const sealed = reinterpret_cast<iommu_option*>(probe::pages(1));
  *sealed = option(IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_SET, ioas);
  mprotect(sealed, probe::kPage, PROT_READ);
  probe::say(ioctl(iommufd, IOMMU_OPTION, sealed), "option: set, read-only struct");
  iommu_option after = option(IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET, ioas);
  probe::say(ioctl(iommufd, IOMMU_OPTION, &after), "option: get");
  probe::say_value(static_cast<long>(after.val64), "huge pages after that");
}
