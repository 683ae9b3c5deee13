// Triggering several vectors at once, by DATA_BOOL too, and a set that fails half-way.
#include <sys/eventfd.h>

#include "probe.h"

namespace {

int device;

// A vfio_irq_set with four bytes or four fds behind it.
struct IrqSet {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
  union {
    std::uint8_t bools[4];
    std::int32_t fds[4];
  };
};

long set(std::uint32_t data, std::uint32_t start, std::uint32_t count, const std::int32_t* fds,
         const std::uint8_t* bools) {
  IrqSet arg = {};
  arg.argsz = sizeof(arg);
  arg.flags = data | VFIO_IRQ_SET_ACTION_TRIGGER;
  arg.index = VFIO_PCI_MSIX_IRQ_INDEX;
  arg.start = start;
  arg.count = count;
  if (fds != nullptr) memcpy(arg.fds, fds, count * sizeof(*fds));
  if (bools != nullptr) memcpy(arg.bools, bools, count);
  return ioctl(device, VFIO_DEVICE_SET_IRQS, &arg);
}

void show(const char* what, const int* events) {
  printf("%s:", what);
  for (int i = 0; i < 3; ++i) {
    eventfd_t value = 0;
    printf(" %ld", eventfd_read(events[i], &value) == 0 ? static_cast<long>(value) : 0);
  }
  puts("");
}

}  // namespace

int main() {
  device = probe::open_bound().device;
  const int events[3] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK),
                         eventfd(0, EFD_NONBLOCK)};
  const std::int32_t first[2] = {events[0], events[1]};
  probe::say(set(VFIO_IRQ_SET_DATA_EVENTFD, 0, 2, first, nullptr), "enable two vectors");
  const std::uint8_t second_only[2] = {0, 1};
  probe::say(set(VFIO_IRQ_SET_DATA_BOOL, 0, 2, nullptr, second_only), "bools 0 and 1");
  show("counted", events);
  probe::say(set(VFIO_IRQ_SET_DATA_NONE, 0, 2, nullptr, nullptr), "trigger both");
  show("counted", events);
  probe::say(set(VFIO_IRQ_SET_DATA_NONE, 0, 3, nullptr, nullptr), "trigger three");
  show("counted", events);
  probe::say(set(VFIO_IRQ_SET_DATA_EVENTFD, 2, 1, events + 2, nullptr), "enable a third vector");
  probe::say(set(VFIO_IRQ_SET_DATA_NONE, 0, 3, nullptr, nullptr), "trigger three");
  show("counted", events);
  probe::say(set(VFIO_IRQ_SET_DATA_EVENTFD, 0, 1, events + 2, nullptr),
             "the third's eventfd on the first vector too");
  probe::say(set(VFIO_IRQ_SET_DATA_NONE, 0, 1, nullptr, nullptr), "trigger the first");
  show("counted", events);
  const std::int32_t bad[2] = {events[0], 1000};
  probe::say(set(VFIO_IRQ_SET_DATA_EVENTFD, 0, 2, bad, nullptr), "a good fd and a bad one");
  probe::say(set(VFIO_IRQ_SET_DATA_NONE, 0, 2, nullptr, nullptr), "trigger both");
  show("counted", events);
}
