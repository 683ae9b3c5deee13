// Drives the DMA-engine card (docs/devices/dma-engine.md) through Linux's VFIO and iommufd:
// maps memory, has the card fill and copy it, and takes its interrupts. Runs wherever vfio-pci
// has the card: in a guest of a QEMU whose vfio-user-pci is `teeio serve --vfio-user`, or under
// `teeio run`.
//
//   dma_engine 0000:01:00.0 [ROUNDS]     status 0 when every byte and interrupt came
#include <dirent.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr std::uint64_t kIova = 0x10000000;
constexpr std::size_t kBytes = 1U << 20U;
constexpr std::size_t kSource = 0x10000, kTarget = 0x80000, kLength = 0x40000;
constexpr std::uint64_t kPattern = 0x1122334455667788;
enum Register : std::uint64_t {
  kId = 0x00,
  kControl = 0x08,
  kRingLow = 0x10,
  kRingHigh = 0x14,
  kRingSize = 0x18,
  kDoorbell = 0x24,
  kErrorCode = 0x28
};

struct Descriptor {
  std::uint32_t flags, length;
  std::uint64_t source, destination;
  std::uint32_t status, zero;
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "dma_engine: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}
void check(bool good, const char* what) {
  if (good) return;
  errno = EPROTO;
  fail(what);
}

/// "/dev/vfio/devices/vfioN" of a function.
std::string cdev(const std::string& bdf) {
  DIR* const folder = opendir(("/sys/bus/pci/devices/" + bdf + "/vfio-dev").c_str());
  if (folder == nullptr) fail("vfio-pci does not have the function");
  std::string name;
  while (const dirent* entry = readdir(folder))
    if (std::strncmp(entry->d_name, "vfio", 4) == 0) name = entry->d_name;
  closedir(folder);
  return "/dev/vfio/devices/" + name;
}

class Card {
 public:
  explicit Card(const std::string& bdf) {
    memory = static_cast<std::uint8_t*>(
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    iommu_ = open("/dev/iommu", O_RDWR);
    if (iommu_ >= 0)
      open_by_iommufd(bdf);
    else
      open_by_group(bdf);
    registers_ = region(VFIO_PCI_BAR0_REGION_INDEX);
    const std::uint64_t config = region(VFIO_PCI_CONFIG_REGION_INDEX);
    const std::uint16_t command = 6;  // memory space, bus master
    if (pwrite(device_, &command, 2, static_cast<off_t>(config + 4)) != 2) fail("command");
    connect_interrupts();
  }

  std::uint32_t read(Register reg) const {
    std::uint32_t value = 0;
    if (pread(device_, &value, 4, static_cast<off_t>(registers_ + reg)) != 4) fail("register");
    return value;
  }
  void write(Register reg, std::uint32_t value) const {
    if (pwrite(device_, &value, 4, static_cast<off_t>(registers_ + reg)) != 4) fail("register");
  }
  /// Runs descriptor 0, and waits for its interrupt.
  void run() const {
    write(kControl, 2);
    write(kRingLow, static_cast<std::uint32_t>(kIova));
    write(kRingHigh, 0);
    write(kRingSize, 2);
    write(kControl, 1);
    write(kDoorbell, 1);
    pollfd ready{done_, POLLIN, 0};
    check(poll(&ready, 1, 10000) == 1, "no interrupt came");
    std::uint64_t count = 0;
    check(::read(done_, &count, 8) == 8 && count == 1, "more than one interrupt came");
    check(read(kErrorCode) == 0, "the card reports an error");
  }

  std::uint8_t* memory = nullptr;

 private:
  void open_by_iommufd(const std::string& bdf) {
    device_ = open(cdev(bdf).c_str(), O_RDWR);
    if (device_ < 0) fail("open");
    vfio_device_bind_iommufd bind{};
    bind.argsz = sizeof(bind);
    bind.iommufd = iommu_;
    if (ioctl(device_, VFIO_DEVICE_BIND_IOMMUFD, &bind) != 0) fail("VFIO_DEVICE_BIND_IOMMUFD");
    iommu_ioas_alloc ioas{};
    ioas.size = sizeof(ioas);
    if (ioctl(iommu_, IOMMU_IOAS_ALLOC, &ioas) != 0) fail("IOMMU_IOAS_ALLOC");
    vfio_device_attach_iommufd_pt attach{};
    attach.argsz = sizeof(attach);
    attach.pt_id = ioas.out_ioas_id;
    if (ioctl(device_, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach) != 0) fail("attach");
    iommu_ioas_map map{};
    map.size = sizeof(map);
    map.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE;
    map.ioas_id = ioas.out_ioas_id;
    map.user_va = reinterpret_cast<std::uintptr_t>(memory);
    map.length = kBytes;
    map.iova = kIova;
    if (ioctl(iommu_, IOMMU_IOAS_MAP, &map) != 0) fail("IOMMU_IOAS_MAP");
  }

  /// On a kernel without iommufd.
  void open_by_group(const std::string& bdf) {
    char link[256] = {};
    const std::string path = "/sys/bus/pci/devices/" + bdf + "/iommu_group";
    if (readlink(path.c_str(), link, sizeof(link) - 1) < 0) fail("iommu_group");
    iommu_ = open("/dev/vfio/vfio", O_RDWR);
    const int group = open(("/dev/vfio" + std::string(std::strrchr(link, '/'))).c_str(), O_RDWR);
    if (iommu_ < 0 || group < 0) fail("open");
    if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu_) != 0) fail("VFIO_GROUP_SET_CONTAINER");
    if (ioctl(iommu_, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0) fail("VFIO_SET_IOMMU");
    device_ = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf.c_str());
    if (device_ < 0) fail("VFIO_GROUP_GET_DEVICE_FD");
    vfio_iommu_type1_dma_map map{};
    map.argsz = sizeof(map);
    map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
    map.vaddr = reinterpret_cast<std::uintptr_t>(memory);
    map.iova = kIova;
    map.size = kBytes;
    if (ioctl(iommu_, VFIO_IOMMU_MAP_DMA, &map) != 0) fail("VFIO_IOMMU_MAP_DMA");
  }

  std::uint64_t region(std::uint32_t index) const {
    vfio_region_info info{};
    info.argsz = sizeof(info);
    info.index = index;
    if (ioctl(device_, VFIO_DEVICE_GET_REGION_INFO, &info) != 0) fail("region");
    return info.offset;
  }
  void connect_interrupts() {
    done_ = eventfd(0, 0);
    alignas(vfio_irq_set) std::uint8_t buffer[sizeof(vfio_irq_set) + sizeof(int)] = {};
    auto* const set = reinterpret_cast<vfio_irq_set*>(buffer);
    set->argsz = sizeof(buffer);
    set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    set->index = VFIO_PCI_MSIX_IRQ_INDEX;
    set->count = 1;
    std::memcpy(set->data, &done_, sizeof(int));
    if (ioctl(device_, VFIO_DEVICE_SET_IRQS, set) != 0) fail("VFIO_DEVICE_SET_IRQS");
  }

  int device_ = -1, iommu_ = -1, done_ = -1;
  std::uint64_t registers_ = 0;
};

void fill_and_copy(const Card& card) {
  std::memset(card.memory, 0, kBytes);
  const Descriptor fill{2 | 1U << 9U, kLength, kPattern, kIova + kSource, 0, 0};
  std::memcpy(card.memory, &fill, sizeof(fill));
  card.run();
  const Descriptor copy{1U << 9U, kLength, kIova + kSource, kIova + kTarget, 0, 0};
  std::memcpy(card.memory, &copy, sizeof(copy));
  card.run();
  for (std::size_t at = 0; at < kLength; at += 8)
    check(std::memcmp(card.memory + kTarget + at, &kPattern, 8) == 0, "a byte is wrong");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: dma_engine FUNCTION [ROUNDS]\n");
    return 2;
  }
  const Card card(argv[1]);
  check(card.read(kId) == 0x31414d44, "this is no DMA-engine card");
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
  for (int round = 0; round < rounds; ++round) fill_and_copy(card);
  std::printf("dma_engine: %s: %d rounds\n", argv[1], rounds);
  return 0;
}
