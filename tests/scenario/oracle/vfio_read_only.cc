// Devices opened for reading only.
#include "probe.h"

int main() {
  const int device = open(probe::device_path(), O_RDONLY);
  probe::say(device, "open the device read-only");
  const int iommufd = open("/dev/iommu", O_RDONLY);
  probe::say(iommufd, "open /dev/iommu read-only");
  probe::say_value(fcntl(device, F_GETFL) & O_ACCMODE, "access mode of the device");
  probe::say(probe::bind(device, iommufd, nullptr), "bind");
  probe::say_value(probe::alloc_ioas(iommufd), "IOAS_ALLOC");
  const vfio_region_info bar = probe::mappable_bar(device);
  std::uint16_t word = 2;
  const off_t config = off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40;
  probe::say_value(pread(device, &word, 2, config), "read config space");
  probe::say_value(pwrite(device, &word, 2, config + 4), "write config space");
  const auto map = [&](int prot, const char* what) {
    const void* memory =
        mmap(nullptr, probe::kPage, prot, MAP_SHARED, device, static_cast<off_t>(bar.offset));
    probe::say(memory == MAP_FAILED ? -1 : 0, "%s", what);
  };
  map(PROT_READ, "map a BAR for reading");
  map(PROT_READ | PROT_WRITE, "map a BAR for writing");
  probe::say(ioctl(device, VFIO_DEVICE_RESET), "RESET");

  const int writer = open(probe::device_path(), O_WRONLY);
  probe::say(writer, "open the device write-only");
  probe::say(open(probe::device_path(), O_RDWR | O_EXCL), "open it with O_EXCL");
  probe::say(open(probe::device_path(), O_RDONLY | O_DIRECTORY), "open it as a directory");
  probe::say(open(probe::device_path(), O_RDWR | O_CREAT, 0600), "open it with O_CREAT");
  probe::say(open(probe::device_path(), O_RDWR | O_CREAT | O_EXCL, 0600), "and O_EXCL");
  probe::say(open(probe::device_path(), O_RDWR | O_TRUNC), "open it with O_TRUNC");
}
