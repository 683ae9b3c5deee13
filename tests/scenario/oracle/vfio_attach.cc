// ATTACH and DETACH_IOMMUFD_PT.
#include "probe.h"

namespace {

int device;

vfio_device_attach_iommufd_pt attach(const char* what, std::uint32_t argsz, std::uint32_t flags,
                                     std::uint32_t pt_id) {
  vfio_device_attach_iommufd_pt arg = {argsz, flags, pt_id, 0};
  probe::say(probe::call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg), "%s", what);
  return arg;
}

void detach(const char* what, std::uint32_t argsz, std::uint32_t flags) {
  vfio_device_detach_iommufd_pt arg = {argsz, flags, 0};
  probe::say(probe::call(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, arg), "%s", what);
}

}  // namespace

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  device = bound.device;
  const std::uint32_t ioas = probe::alloc_ioas(bound.iommufd);
  const std::uint32_t other = probe::alloc_ioas(bound.iommufd);

  attach("attach, argsz 8", 8, 0, ioas);
  attach("attach, argsz 11", 11, 0, ioas);
  attach("attach, unknown flag", 16, 2, ioas);
  attach("attach, PASID flag without a PASID", 12, VFIO_DEVICE_ATTACH_PASID, ioas);
  attach("attach, no such id", 12, 0, 99);
  attach("attach, id of the device", 12, 0, bound.devid);
  probe::say(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, nullptr), "attach, null pointer");
  detach("detach, nothing attached", 8, 0);

  const std::uint32_t first = attach("attach to an IOAS", 12, 0, ioas).pt_id;
  probe::say_if(first != ioas && first != other && first != bound.devid, "pt_id is a domain's");
  const std::uint32_t again = attach("attach to it again", 12, 0, ioas).pt_id;
  probe::say_if(again == first, "pt_id is the same");
  probe::say_if(attach("attach to that domain", 12, 0, first).pt_id == first, "pt_id is the same");
  probe::say(probe::destroy(bound.iommufd, first), "DESTROY that domain");
  probe::say(probe::destroy(bound.iommufd, ioas), "DESTROY the IOAS");
  const std::uint32_t next = attach("attach to another IOAS", 12, 0, other).pt_id;
  probe::say_if(next != first, "pt_id is another");
  probe::say(probe::destroy(bound.iommufd, first), "DESTROY the first domain");
  probe::say(probe::destroy(bound.iommufd, ioas), "DESTROY the first IOAS");

  detach("detach, argsz 4", 4, 0);
  detach("detach, unknown flag", 12, 2);
  detach("detach", 8, 0);
  detach("detach again", 8, 0);
  probe::say(probe::destroy(bound.iommufd, next), "DESTROY the second domain");
  probe::say(probe::destroy(bound.iommufd, other), "DESTROY the second IOAS");
}
