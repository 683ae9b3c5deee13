// The capability chain of the BAR that holds the MSI-X table.
#include "probe.h"

int main() {
  const int device = probe::open_bound().device;
  int with_caps = 0;
  for (std::uint32_t index = 0; index <= VFIO_PCI_BAR5_REGION_INDEX; ++index) {
    vfio_region_info info = probe::region(device, index);
    if ((info.flags & VFIO_REGION_INFO_FLAG_CAPS) == 0) continue;
    ++with_caps;
    probe::say_if(info.argsz > sizeof(info), "argsz asks for more room");
    probe::say_value(info.cap_offset, "cap_offset without room");

    struct {
      vfio_region_info info;
      vfio_info_cap_header cap;
      std::uint64_t more[30];
    } big = {};
    big.info.argsz = sizeof(big);
    big.info.index = index;
    probe::say(probe::call(device, VFIO_DEVICE_GET_REGION_INFO, big), "with room");
    probe::say_value(big.info.cap_offset, "cap_offset");
    probe::say_value(big.cap.id, "id of the capability");
    probe::say_value(big.cap.version, "its version");
    probe::say_value(big.cap.next, "where the next one is");
    probe::say_if(big.info.argsz == sizeof(big), "argsz is kept");
  }
  probe::say_value(with_caps, "BARs with capabilities");
}
