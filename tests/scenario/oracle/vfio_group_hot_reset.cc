// PCI_HOT_RESET of a device that its group gave: what is no list of groups.
#include <sys/eventfd.h>

#include "group.h"

namespace {

struct Reset {
  std::uint32_t argsz, flags, count;
  std::int32_t groups[4];
};

}  // namespace

int main() {
  const probe::Contained both = probe::contained(VFIO_TYPE1v2_IOMMU);
  const int device = static_cast<int>(probe::device_fd(both.group, probe::device_name()));
  const auto reset = [&](const char* what, Reset arg) {
    probe::say(probe::call(device, VFIO_DEVICE_PCI_HOT_RESET, arg), "%s", what);
  };
  reset("argsz 11", {11, 0, 1, {both.group}});
  reset("a flag", {sizeof(Reset), 1, 1, {both.group}});
  reset("no groups", {sizeof(Reset), 0, 0, {}});
  reset("a million groups", {sizeof(Reset), 0, 1000000, {}});
  reset("no descriptor", {sizeof(Reset), 0, 1, {1000}});
  reset("an eventfd", {sizeof(Reset), 0, 1, {eventfd(0, 0)}});
  reset("the container", {sizeof(Reset), 0, 1, {both.container}});
  reset("the device", {sizeof(Reset), 0, 1, {device}});
  vfio_pci_hot_reset_info info = {};
  info.argsz = sizeof(info);
  probe::say(probe::call(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info), "info without room");
  probe::say_if(info.count >= 1 && info.flags == 0, "it has a count and no flags");
}
