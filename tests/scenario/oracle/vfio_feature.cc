// FEATURE: sizes, flags, probing, and DMA_BUF's neighbours.
#include "probe.h"

namespace {

int device;

long feature(std::uint32_t flags, std::uint32_t argsz = sizeof(vfio_device_feature)) {
  struct {
    std::uint32_t argsz;  // a vfio_device_feature and what follows it
    std::uint32_t flags;
    std::uint64_t data[8];
  } arg = {argsz, flags, {}};
  return ioctl(device, VFIO_DEVICE_FEATURE, &arg);
}

}  // namespace

int main() {
  device = probe::open_bound().device;
  constexpr std::uint32_t kGet = VFIO_DEVICE_FEATURE_GET;
  constexpr std::uint32_t kSet = VFIO_DEVICE_FEATURE_SET;
  constexpr std::uint32_t kProbe = VFIO_DEVICE_FEATURE_PROBE;
  constexpr std::uint32_t kDmabuf = VFIO_DEVICE_FEATURE_DMA_BUF;

  probe::say(ioctl(device, VFIO_DEVICE_FEATURE, nullptr), "null pointer");
  probe::say(feature(kDmabuf | kProbe, 4), "argsz 4");
  probe::say(feature(kDmabuf | kProbe | (1U << 19)), "unknown flag");
  probe::say(feature(kDmabuf), "neither get, set nor probe");
  probe::say(feature(kDmabuf | kGet | kSet), "get and set");
  probe::say(feature(kDmabuf | kProbe), "probe DMA_BUF");
  probe::say(feature(kDmabuf | kProbe | kGet), "probe DMA_BUF get");
  probe::say(feature(kDmabuf | kProbe | kSet), "probe DMA_BUF set");
  probe::say(feature(kDmabuf | kProbe | kGet | kSet), "probe DMA_BUF get and set");
  probe::say(feature(kDmabuf | kSet, 64), "set DMA_BUF");
  probe::say(feature(kDmabuf | kGet), "get DMA_BUF without data");
  probe::say(feature(VFIO_DEVICE_FEATURE_MIGRATION | kProbe), "probe MIGRATION");
  probe::say(feature(VFIO_DEVICE_FEATURE_MIGRATION | kGet, 16), "get MIGRATION");
  probe::say(feature(VFIO_DEVICE_FEATURE_MIGRATION), "neither of MIGRATION");
  constexpr std::uint32_t kPrecopyInfoV2 = 12;  // VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2
  probe::say(feature(kPrecopyInfoV2 | kProbe), "probe MIG_PRECOPY_INFOv2");
  probe::say(feature(kPrecopyInfoV2 | kSet), "set MIG_PRECOPY_INFOv2");
  probe::say(feature(kPrecopyInfoV2 | kGet), "get MIG_PRECOPY_INFOv2");
  probe::say(feature(14), "neither of feature 14");
  probe::say(feature(14 | kProbe), "probe feature 14");
  probe::say(feature(0xffff | kProbe), "probe feature 0xffff");
}
