// SET_IRQS on MSI-X and REQ: what is refused, and a trigger that arrives.
#include <sys/eventfd.h>

#include "probe.h"

namespace {

int device;

// A vfio_irq_set with two fds behind it.
struct IrqSet {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
  std::int32_t fds[2];
};

long set(std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count,
         std::int32_t fd0 = -1, std::uint32_t argsz = sizeof(IrqSet)) {
  const IrqSet arg = {argsz, flags, index, start, count, {fd0, -1}};
  return ioctl(device, VFIO_DEVICE_SET_IRQS, &arg);
}

long long read_counter(int fd) {
  eventfd_t value = 0;
  return eventfd_read(fd, &value) == 0 ? static_cast<long long>(value) : 0;
}

}  // namespace

int main() {
  device = probe::open_bound().device;
  constexpr std::uint32_t kNone = VFIO_IRQ_SET_DATA_NONE;
  constexpr std::uint32_t kFd = VFIO_IRQ_SET_DATA_EVENTFD;
  constexpr std::uint32_t kTrigger = VFIO_IRQ_SET_ACTION_TRIGGER;
  constexpr std::uint32_t kMsix = VFIO_PCI_MSIX_IRQ_INDEX;
  const int event = eventfd(0, EFD_NONBLOCK);

  probe::say(ioctl(device, VFIO_DEVICE_SET_IRQS, nullptr), "null pointer");
  probe::say(set(kFd | kTrigger, kMsix, 0, 1, event, 16), "argsz 16");
  probe::say(set(kFd | kTrigger, kMsix, 0, 2, event, 24), "argsz too small for two fds");
  probe::say(set(kFd | kTrigger, 5, 0, 1, event), "index beyond the last");
  probe::say(set(kFd | kTrigger | 64, kMsix, 0, 1, event), "unknown flag");
  probe::say(set(kTrigger, kMsix, 0, 1, event), "no data type");
  probe::say(set(kFd | kNone | kTrigger, kMsix, 0, 1, event), "two data types");
  probe::say(set(kFd, kMsix, 0, 1, event), "no action");
  probe::say(set(kFd | kTrigger | VFIO_IRQ_SET_ACTION_MASK, kMsix, 0, 1, event), "two actions");
  probe::say(set(kFd | kTrigger, kMsix, 5000, 1, event), "start beyond the last vector");
  probe::say(set(kFd | kTrigger, kMsix, 0, 5000, event), "more than there are");
  probe::say(set(kFd | kTrigger, kMsix, ~0U, 2, event), "start plus count wraps");
  probe::say(set(kFd | kTrigger, kMsix, 0, 1, 1000), "fd that is not open");
  probe::say(set(kFd | kTrigger, kMsix, 0, 1, device), "fd that is no eventfd");
  probe::say(set(kFd | VFIO_IRQ_SET_ACTION_MASK, kMsix, 0, 1, event), "mask MSI-X");
  probe::say(set(kNone | kTrigger, kMsix, 0, 1), "trigger before enabling");
  probe::say(set(kNone | kTrigger, kMsix, 0, 0), "disable before enabling");

  probe::say(set(kFd | kTrigger, kMsix, 0, 1, event), "enable one vector");
  probe::say(set(kNone | kTrigger, kMsix, 0, 1), "trigger it");
  probe::say_value(read_counter(event), "the eventfd counted");
  probe::say(set(kNone | kTrigger, kMsix, 1, 1), "trigger the next vector");
  probe::say(set(kFd | kTrigger, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, event), "enable MSI as well");
  probe::say(set(kFd | kTrigger, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, event), "enable INTx as well");
  probe::say(set(kFd | kTrigger, kMsix, 0, 1, -1), "take the eventfd away");
  probe::say(set(kNone | kTrigger, kMsix, 0, 1), "trigger it");
  probe::say_value(read_counter(event), "the eventfd counted");
  probe::say(set(kNone | kTrigger, kMsix, 0, 0), "disable");
  probe::say(set(kNone | kTrigger, kMsix, 0, 1), "trigger after disabling");

  constexpr std::uint32_t kReq = VFIO_PCI_REQ_IRQ_INDEX;
  probe::say(set(kFd | kTrigger, kReq, 0, 1, event), "REQ, set the eventfd");
  probe::say(set(kNone | kTrigger, kReq, 0, 1), "REQ, trigger");
  probe::say_value(read_counter(event), "the eventfd counted");
  probe::say(set(kFd | kTrigger, kReq, 1, 1, event), "REQ, start 1");
  probe::say(set(kFd | VFIO_IRQ_SET_ACTION_MASK, kReq, 0, 1, event), "REQ, mask");
  probe::say(set(kFd | kTrigger, kReq, 0, 1, -1), "REQ, take it away");
}
