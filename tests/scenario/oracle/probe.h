#pragma once

// What the oracle programs share. Each of them makes calls and prints one line a
// call, "what -> ok", "what -> EINVAL" or "what -> 4096"; nothing that a machine
// could choose (addresses, ids, fd numbers) is printed. Linux's recorded answers
// are NAME.expected.
#include <errno.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace probe {

inline constexpr std::size_t kPage = 4096;

inline void print_failure(int error) {
  const char* name = strerrorname_np(error);
  if (name != nullptr) {
    printf(" -> %s\n", name);
  } else {
    printf(" -> errno %d\n", error);
  }
}

/// Prints "what -> ok" for a result of 0 or more, else the name of errno.
[[gnu::format(printf, 2, 3)]] inline long say(long result, const char* what, ...) {
  const int error = errno;
  va_list args;
  va_start(args, what);
  vprintf(what, args);
  va_end(args);
  if (result >= 0) {
    puts(" -> ok");
  } else {
    print_failure(error);
  }
  return result;
}

/// As say(), but prints the result itself when there is one.
[[gnu::format(printf, 2, 3)]] inline long say_value(long result, const char* what, ...) {
  const int error = errno;
  va_list args;
  va_start(args, what);
  vprintf(what, args);
  va_end(args);
  if (result >= 0) {
    printf(" -> %ld\n", result);
  } else {
    print_failure(error);
  }
  return result;
}

/// A property that every machine must have: prints "what -> yes" or "-> no".
[[gnu::format(printf, 2, 3)]] inline void say_if(bool holds, const char* what, ...) {
  va_list args;
  va_start(args, what);
  vprintf(what, args);
  va_end(args);
  puts(holds ? " -> yes" : " -> no");
}

/// Ends the program: the machine lacks what the program needs in order to ask.
[[noreturn]] inline void give_up(const char* what) {
  printf("cannot ask: %s: %s\n", what, strerror(errno));
  exit(2);
}

template <class Arg>
long call(int fd, unsigned long request, Arg& arg) {
  return ioctl(fd, request, &arg);
}

// ---- where things are ----

inline const char* device_path() {
  const char* path = getenv("ORACLE_VFIO");
  return path != nullptr ? path : "/dev/vfio/devices/vfio0";
}

/// "/sys/bus/pci/devices/BDF" of the function behind device_path(), or of the
/// one that ORACLE_BDF names.
inline const char* sysfs_dir() {
  static char dir[64];
  const char* bdf = getenv("ORACLE_BDF");
  char target[512];
  if (bdf == nullptr) {
    char link[128];
    snprintf(link, sizeof(link), "/sys/class/vfio-dev/%s/device", strrchr(device_path(), '/') + 1);
    const ssize_t length = readlink(link, target, sizeof(target) - 1);
    if (length < 0) give_up("no ORACLE_BDF, and no link to the device in sysfs");
    target[length] = '\0';
    bdf = strrchr(target, '/') + 1;
  }
  snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%.16s", bdf);
  return dir;
}

inline int open_iommufd() {
  const int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
  if (fd < 0) give_up("/dev/iommu");
  return fd;
}

inline int open_device() {
  const int fd = open(device_path(), O_RDWR | O_CLOEXEC);
  if (fd < 0) give_up(device_path());
  return fd;
}

// ---- usual set-ups ----

inline std::uint32_t alloc_ioas(int iommufd) {
  iommu_ioas_alloc arg = {};
  arg.size = sizeof(arg);
  if (call(iommufd, IOMMU_IOAS_ALLOC, arg) != 0) give_up("IOMMU_IOAS_ALLOC");
  return arg.out_ioas_id;
}

inline long destroy(int iommufd, std::uint32_t id) {
  iommu_destroy arg = {sizeof(arg), id};
  return call(iommufd, IOMMU_DESTROY, arg);
}

inline long bind(int device, int iommufd, std::uint32_t* devid) {
  vfio_device_bind_iommufd arg = {};
  arg.argsz = sizeof(arg);
  arg.iommufd = iommufd;
  const long result = call(device, VFIO_DEVICE_BIND_IOMMUFD, arg);
  if (devid != nullptr) *devid = arg.out_devid;
  return result;
}

inline long attach(int device, std::uint32_t pt_id) {
  vfio_device_attach_iommufd_pt arg = {};
  arg.argsz = sizeof(arg);
  arg.pt_id = pt_id;
  return call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg);
}

/// A device that is bound to an iommufd of its own.
struct BoundDevice {
  int iommufd;
  int device;
  std::uint32_t devid;
};

inline BoundDevice open_bound() {
  BoundDevice bound = {open_iommufd(), open_device(), 0};
  if (bind(bound.device, bound.iommufd, &bound.devid) != 0) give_up("VFIO_DEVICE_BIND_IOMMUFD");
  return bound;
}

inline vfio_region_info region(int device, std::uint32_t index) {
  vfio_region_info info = {};
  info.argsz = sizeof(info);
  info.index = index;
  if (call(device, VFIO_DEVICE_GET_REGION_INFO, info) != 0) give_up("VFIO_DEVICE_GET_REGION_INFO");
  return info;
}

/// The first BAR that can be mapped.
inline vfio_region_info mappable_bar(int device) {
  for (std::uint32_t index = 0; index <= VFIO_PCI_BAR5_REGION_INDEX; ++index) {
    const vfio_region_info info = region(device, index);
    if ((info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0 && info.size >= 2 * kPage) return info;
  }
  give_up("no BAR can be mapped");
}

/// `pages` anonymous pages, zeroed.
inline std::byte* pages(std::size_t count) {
  void* memory =
      mmap(nullptr, count * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) give_up("mmap");
  return static_cast<std::byte*>(memory);
}

inline std::uint64_t address_of(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

/// A pointer that no program can follow.
inline void* nowhere() { return reinterpret_cast<void*>(std::uintptr_t{0x1000}); }

}  // namespace probe
