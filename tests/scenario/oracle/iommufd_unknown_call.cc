// Numbers that /dev/iommu does not know, and system calls other than ioctl.
#include <poll.h>

#include "probe.h"

int main() {
  const int iommufd = probe::open_iommufd();
  iommu_destroy arg = {sizeof(arg), 0};
  probe::say(probe::call(iommufd, _IO(IOMMUFD_TYPE, 0x7f), arg), "a number below the first");
  probe::say(probe::call(iommufd, _IO(IOMMUFD_TYPE, 0xbf), arg), "a number above the last");
  probe::say(probe::call(iommufd, _IO('!', 0x80), arg), "another type byte");
  probe::say(probe::call(iommufd, _IOC(_IOC_READ, IOMMUFD_TYPE, 0x80, 8), arg),
             "DESTROY with a size in the number");
  probe::say(ioctl(iommufd, VFIO_DEVICE_RESET), "VFIO_DEVICE_RESET");
  probe::say(ioctl(iommufd, FIONREAD, &arg), "FIONREAD");

  char byte = 0;
  probe::say(read(iommufd, &byte, 1), "read");
  probe::say(write(iommufd, &byte, 1), "write");
  probe::say(pread(iommufd, &byte, 1, 0), "pread");
  probe::say_value(lseek(iommufd, 16, SEEK_SET), "lseek");
  const void* map = mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, iommufd, 0);
  probe::say(map == MAP_FAILED ? -1 : 0, "mmap");
  pollfd event = {iommufd, POLLIN | POLLOUT, 0};
  probe::say_value(poll(&event, 1, 0), "poll");
}
