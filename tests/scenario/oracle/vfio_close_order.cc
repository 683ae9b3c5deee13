// Closing the device and its iommufd in both orders, with things attached.
#include "probe.h"

namespace {

struct Pair {
  probe::BoundDevice bound;
  std::uint32_t ioas;
};

Pair open_attached() {
  const probe::BoundDevice bound = probe::open_bound();
  const std::uint32_t ioas = probe::alloc_ioas(bound.iommufd);
  if (probe::attach(bound.device, ioas) != 0) probe::give_up("attach");
  return {bound, ioas};
}

}  // namespace

int main() {
  const Pair first = open_attached();
  probe::say(close(first.bound.device), "close the device first");
  probe::say(probe::destroy(first.bound.iommufd, first.ioas), "  DESTROY its IOAS");
  probe::say(close(first.bound.iommufd), "  close the iommufd");

  const Pair second = open_attached();
  probe::say(close(second.bound.iommufd), "close the iommufd first");
  vfio_device_info info = {};
  info.argsz = sizeof(info);
  probe::say(probe::call(second.bound.device, VFIO_DEVICE_GET_INFO, info), "  GET_INFO");
  probe::say(probe::attach(second.bound.device, second.ioas), "  attach to the same IOAS");
  std::uint32_t word = 0;
  probe::say_value(pread(second.bound.device, &word, 4, off_t{7} << 40), "  read config space");
  probe::say(ioctl(second.bound.device, VFIO_DEVICE_RESET), "  RESET");
  probe::say(probe::bind(second.bound.device, probe::open_iommufd(), nullptr), "  bind to another");
  probe::say(close(second.bound.device), "  close the device");

  const Pair third = open_attached();
  const int copy = dup(third.bound.device);
  probe::say(close(third.bound.device), "close one of two fds of the device");
  probe::say(probe::destroy(third.bound.iommufd, third.bound.devid), "  DESTROY the device");
  probe::say(probe::call(copy, VFIO_DEVICE_GET_INFO, info), "  GET_INFO on the other");
  const vfio_region_info bar = probe::mappable_bar(copy);
  void* map =
      mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, copy, static_cast<off_t>(bar.offset));
  probe::say(map == MAP_FAILED ? -1 : 0, "  map a BAR");
  probe::say(close(copy), "  close the other");
  probe::say(probe::destroy(third.bound.iommufd, third.bound.devid), "  DESTROY the device");
  probe::say(munmap(map, probe::kPage), "  unmap");
  probe::say(probe::destroy(third.bound.iommufd, third.bound.devid), "  DESTROY the device");
  open_attached();
  puts("a new pair works");
}
