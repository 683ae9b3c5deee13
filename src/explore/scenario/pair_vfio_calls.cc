// The calls on a VFIO device that pairs are made of.

#include "explore/scenario/opponents.h"
#include "explore/scenario/pair_parts.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

constexpr std::uint64_t kBarOfMemory = std::uint64_t{2} << vfio::kRegionShift;

Result<void> detach(Vmm& vmm) {
  abi::vfio_device_detach_iommufd_pt arg{.argsz = sizeof(arg), .flags = 0, .pasid = 0};
  return made(vmm.ioctl(vmm.vfio, VFIO_DEVICE_DETACH_IOMMUFD_PT, arg));
}

struct TwoVectors {
  std::uint32_t argsz, flags, index, start, count;
  std::int32_t data[2];
};
constexpr std::uint32_t kMsixIndex = 2;

Result<void> switch_vectors(Pair& pair) {
  TwoVectors off{sizeof(off) - sizeof(off.data),
                 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
                 kMsixIndex,
                 0,
                 0,
                 {}};
  (void)pair.vmm.ioctl(pair.vmm.vfio, VFIO_DEVICE_SET_IRQS, off);
  return connect_vectors(pair);
}

template <class Info>
Result<void> ask_vfio(Pair& pair, std::uint32_t command) {
  Info info{};
  info.argsz = sizeof(info);
  return made(pair.vmm.ioctl(pair.vmm.vfio, command, info));
}

/// With room for all functions of the bus.
Result<void> ask_hot_reset(Pair& pair) {
  struct {
    std::uint32_t argsz, flags, count;
    std::uint32_t devices[16];  // struct vfio_pci_dependent_device
  } info{sizeof(info), 0, 0, {}};
  return made(pair.vmm.ioctl(pair.vmm.vfio, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info));
}

Result<void> write_bar(Pair& pair) {
  const std::uint32_t value = 1;
  return made(pair.vmm.pwrite(pair.vmm.vfio, kBarOfMemory, bytes_of(value)));
}

Result<void> read_bar(Pair& pair) {
  std::uint32_t value = 0;
  return made(pair.vmm.pread(pair.vmm.vfio, kBarOfMemory, writable_bytes_of(value)));
}

Result<void> export_bar(Pair& pair) {
  TEEIO_ASSIGN(const int fd, pair.vmm.export_bar(2, kPageSize));
  return pair.vmm.close(fd);
}

/// A second file of the device's node cannot have it too.
Result<void> open_again(Pair& pair) {
  TEEIO_ASSIGN(const int fd, pair.vmm.open(kPf));
  abi::vfio_device_bind_iommufd arg{};
  arg.argsz = sizeof(arg);
  arg.iommufd = pair.vmm.iommufd;
  (void)pair.vmm.ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, arg);
  return pair.vmm.close(fd);
}

}  // namespace

Result<void> attach_to(Vmm& vmm, std::uint32_t id) {
  abi::vfio_device_attach_iommufd_pt arg{.argsz = sizeof(arg), .flags = 0, .pt_id = id, .pasid = 0};
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg));
  return {};
}

Result<void> connect_vectors(Pair& pair) {
  TwoVectors set{sizeof(set), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                 kMsixIndex,  0,
                 2,           {pair.eventfd, -1}};
  TEEIO_TRY(pair.vmm.ioctl(pair.vmm.vfio, VFIO_DEVICE_SET_IRQS, set));
  return {};
}

std::vector<PairCall> pair_calls_of_vfio() {
  return {
      {"ATTACH", [](Pair& p) { return attach_to(p.vmm, p.other_ioas); }},
      {"DETACH", [](Pair& p) { return detach(p.vmm); }},
      {"SET_IRQS", switch_vectors},
      {"BAR_READ", read_bar},
      {"BAR_WRITE", write_bar},
      {"BAR_MMAP", [](Pair& p) { return p.vmm.mmap(p.vmm.vfio, kBarOfMemory, kPageSize); }},
      {"CONFIG_READ", [](Pair& p) { return made(read_config(p.vmm, kCommandRegister)); }},
      {"DMA_BUF", export_bar},
      {"SECOND_OPEN", open_again},
      {"GET_INFO",
       [](Pair& p) { return ask_vfio<abi::vfio_device_info>(p, VFIO_DEVICE_GET_INFO); }},
      {"GET_REGION_INFO",
       [](Pair& p) { return ask_vfio<abi::vfio_region_info>(p, VFIO_DEVICE_GET_REGION_INFO); }},
      {"HOT_RESET_INFO", ask_hot_reset},
      {.name = "GET_IRQ_INFO",
       .act = [](Pair& p) { return ask_vfio<abi::vfio_irq_info>(p, VFIO_DEVICE_GET_IRQ_INFO); },
       .against = {"SET_IRQS", "reset", "vfio-close", "BIND", "UNBIND"}},
  };
}

}  // namespace teeio::explore
