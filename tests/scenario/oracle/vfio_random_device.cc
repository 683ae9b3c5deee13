// A vfio-pci device's calls, in any order and with odd arguments: "PROGRAM COUNT
// FIRST" asks more than what is recorded.
#include <sys/eventfd.h>

#include <algorithm>
#include <iterator>

#include "group.h"
#include "random.h"

namespace {

using probe::Dice;

bool by_group;  ///< else by node and iommufd
int device, iommufd, events[3];
std::uint32_t devid, ioas;
std::uint64_t regions[9], sizes[9];

void look_at_regions() {
  for (std::uint32_t index = 0; index < 9; ++index) {
    vfio_region_info arg = {};
    arg.argsz = sizeof(arg);
    arg.index = index;
    (void)probe::call(device, VFIO_DEVICE_GET_REGION_INFO, arg);
    regions[index] = arg.offset, sizes[index] = arg.size;
  }
}

/// A descriptor of the story's, and its name.
struct File {
  const char* name;
  int fd;
};

File event(Dice& dice) {
  const std::uint64_t which = dice.below(12);
  if (which < 3) return {"e0", events[0]};
  if (which < 6) return {"e1", events[1]};
  if (which < 8) return {"e2", events[2]};
  if (which < 10) return {"-1", -1};
  if (which < 11) return {"device", device};
  return {"-2", -2};
}

void counters() {
  for (const int fd : events) {
    std::uint64_t count = 0;
    if (read(fd, &count, sizeof(count)) != sizeof(count)) count = 0;
    printf(" %lu", count);
  }
  puts("");
}

void set_irqs(Dice& dice) {
  struct {
    std::uint32_t argsz, flags, index, start, count;
    std::int32_t data[4];
  } arg = {};
  const std::uint32_t kinds[] = {1, 2, 4}, actions[] = {8, 16, 32, 32, 32};
  arg.flags = kinds[dice.below(3)] | actions[dice.below(5)];
  if (dice.once_in(12)) arg.flags ^= 1U << dice.below(8);
  arg.index = dice.of<std::uint32_t>({0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4, 5});
  arg.start = dice.mostly<std::uint32_t>(0, {1, 1, 4000, 0xffffffff});
  arg.count = dice.mostly<std::uint32_t>(1, {0, 0, 2, 4000, 0xffffffff});
  arg.argsz = dice.mostly<std::uint32_t>(sizeof(arg), {0, 19, 20, 21, 24, 28});
  if (arg.index == VFIO_PCI_MSI_IRQ_INDEX) {  // which may have one vector only
    arg.start = 0;
    arg.count = std::min<std::uint32_t>(arg.count, 1);
  }
  char text[100] = "";
  for (std::int32_t& word : arg.data) {
    File file = event(dice);
    if ((arg.flags & 2U) != 0) file = dice.once_in(2) ? File{"0", 0} : File{"101", 0x101};
    word = file.fd;
    snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", file.name);
  }
  probe::say(probe::call(device, VFIO_DEVICE_SET_IRQS, arg),
             "SET_IRQS argsz %u flags %x index %u start %u count %u:%s", arg.argsz, arg.flags,
             arg.index, arg.start, arg.count, text);
  counters();
}

void irq_info(Dice& dice) {
  vfio_irq_info arg = {};
  arg.argsz = dice.mostly<std::uint32_t>(16, {0, 15, 17});
  arg.index = static_cast<std::uint32_t>(dice.below(7));
  const std::uint32_t argsz = arg.argsz;
  const long done = probe::call(device, VFIO_DEVICE_GET_IRQ_INFO, arg);
  probe::say(done, "IRQ_INFO argsz %u index %u", argsz, arg.index);
  if (done == 0) printf("  argsz %u flags %x\n", arg.argsz, arg.flags);
}

void info(Dice& dice) {
  std::uint32_t arg[16] = {dice.mostly<std::uint32_t>(24, {0, 19, 20, 23, 64})};
  const std::uint32_t argsz = arg[0];
  const long done = ioctl(device, VFIO_DEVICE_GET_INFO, arg);
  probe::say(done, "GET_INFO argsz %u", argsz);
  if (done == 0) printf("  flags %x regions %u irqs %u\n", arg[1] & ~0x80U, arg[2], arg[3]);
}

void region_info(Dice& dice) {
  alignas(8) std::uint32_t arg[32] = {dice.mostly<std::uint32_t>(32, {0, 31, 33, 128})};
  arg[2] = dice.of<std::uint32_t>({0, 6, 7, 7, 8, 9, 10, 0xffffffff});
  const std::uint32_t argsz = arg[0], index = arg[2];
  const long done = ioctl(device, VFIO_DEVICE_GET_REGION_INFO, arg);
  probe::say(done, "REGION_INFO argsz %u index %u", argsz, index);
  if (done == 0 && index == 7)
    printf("  argsz %u flags %x capabilities %u\n", arg[0], arg[1], arg[3]);
}

void hot_reset_info(Dice& dice) {
  std::uint32_t arg[64] = {dice.of<std::uint32_t>({0, 11, 12, 12, 16, 256, 256})};
  const std::uint32_t argsz = arg[0];
  const long done = ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, arg);
  probe::say(done, "HOT_RESET_INFO argsz %u", argsz);
  printf("  argsz %u some %d\n", argsz == 12 || argsz == 256 ? arg[0] : 0, arg[2] != 0);
}

void hot_reset(Dice& dice) {
  std::uint32_t arg[8] = {};
  arg[0] = dice.mostly<std::uint32_t>(24, {0, 11, 12, 16});
  arg[1] = dice.of<std::uint32_t>({1, 4});  // where it can be done is the machine's
  arg[2] = dice.mostly<std::uint32_t>(0, {1, 2, 3, 1000});
  const File files[] = {{"iommufd", iommufd}, {"device", device}, {"e0", events[0]}};
  const File& file = files[dice.below(3)];
  arg[3] = arg[4] = static_cast<std::uint32_t>(file.fd);
  probe::say(ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, arg),
             "PCI_HOT_RESET argsz %u flags %u count %u: %s", arg[0], arg[1], arg[2], file.name);
}

void ioeventfd(Dice& dice) {
  vfio_device_ioeventfd arg = {};
  const File file = event(dice);
  arg.argsz = dice.mostly<std::uint32_t>(sizeof(arg), {0, 31, 33});
  arg.flags = dice.of<std::uint32_t>({4, 4, 4, 1, 2, 8, 0, 5, 16});
  const std::uint32_t index = dice.of<std::uint32_t>({0, 0, 0, 4, 6, 7, 8, 9});
  arg.offset =
      (std::uint64_t{index} << 40U) +
      dice.mostly<std::uint64_t>(0x20, {0, 0x24, 0x21, 0x22, sizes[index < 9 ? index : 0] - 2,
                                        sizes[index < 9 ? index : 0]});
  if (index == 4 && dice.once_in(2)) return;  // where the MSI-X table is differs
  arg.data = 0;
  arg.fd = file.fd;
  const std::uint64_t at = arg.offset & 0xffff;
  if (at > 0x24) return;
  probe::say(probe::call(device, VFIO_DEVICE_IOEVENTFD, arg),
             "IOEVENTFD argsz %u flags %x region %u+%lx %s", arg.argsz, arg.flags, index, at,
             file.name);
}

void feature(Dice& dice) {
  struct {
    std::uint32_t argsz, flags;
    std::uint32_t data[12];
  } arg = {};
  const auto which = static_cast<std::uint32_t>(1 + dice.below(15));  // 0 is a PF's token
  std::uint32_t usual = dice.of<std::uint32_t>({1, 2, 2, 4, 5, 6, 7, 3, 0, 9});
  // A device that sleeps wakes up at its own pace.
  const bool sleeps = which == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY ||
                      which == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
  if (sleeps) usual |= 4U;
  arg.flags = which | usual << 16U;
  arg.argsz = dice.mostly<std::uint32_t>(sizeof(arg), {0, 7, 8, 12, 16, 24, 40});
  char text[64] = "";
  if (which == VFIO_DEVICE_FEATURE_DMA_BUF) {
    arg.data[0] = dice.mostly<std::uint32_t>(0, {7, 6, 9});
    arg.data[1] =
        dice.mostly<std::uint32_t>(O_RDWR | O_CLOEXEC, {0, O_RDWR, 0x80000000, O_WRONLY, O_APPEND});
    arg.data[2] = dice.mostly<std::uint32_t>(0, {1});
    arg.data[3] = dice.mostly<std::uint32_t>(1, {0, 2, 0xffffffff});
    const std::uint64_t ranges[4] = {
        dice.mostly<std::uint64_t>(0, {0x1000, 0x800, 1UL << 40U, ~0xfffUL}),
        dice.mostly<std::uint64_t>(0x1000, {0, 0x800, 0x2000, 1UL << 40U, ~0xfffUL}), 0x2000,
        0x1000};
    memcpy(arg.data + 4, ranges, sizeof(ranges));
    snprintf(text, sizeof(text), " %x %x %x %x %lx %lx", arg.data[0], arg.data[1], arg.data[2],
             arg.data[3], ranges[0], ranges[1]);
  } else if (which == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP) {
    const File file = event(dice);
    arg.data[0] = static_cast<std::uint32_t>(file.fd);
    arg.data[1] = dice.once_in(8) ? 1 : 0;
    snprintf(text, sizeof(text), " %s %u", file.name, arg.data[1]);
  } else {
    for (std::uint32_t& word : arg.data) word = dice.of<std::uint32_t>({0, 0, 1, 2});
    snprintf(text, sizeof(text), " %x %x", arg.data[0], arg.data[1]);
  }
  const long done = probe::call(device, VFIO_DEVICE_FEATURE, arg);
  probe::say(done, "FEATURE %u flags %x argsz %u%s", which, usual, arg.argsz, text);
  if (which == VFIO_DEVICE_FEATURE_DMA_BUF && done > 2) close(static_cast<int>(done));
}

void attach(Dice& dice) {
  vfio_device_attach_iommufd_pt arg = {};
  arg.argsz = dice.mostly<std::uint32_t>(16, {0, 11, 12, 15, 17});
  arg.flags = dice.mostly<std::uint32_t>(0, {0, 1, 2});
  arg.pt_id = dice.mostly<std::uint32_t>(ioas, {0, devid, 9, 0xffffffff});
  arg.pasid = static_cast<std::uint32_t>(dice.below(3));
  const bool known = arg.pt_id == ioas;
  if (dice.once_in(3)) {
    vfio_device_detach_iommufd_pt detach = {};
    detach.argsz = arg.argsz;
    detach.flags = arg.flags;
    detach.pasid = arg.pasid;
    probe::say(probe::call(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, detach),
               "DETACH argsz %u flags %x pasid %u", detach.argsz, detach.flags, detach.pasid);
    return;
  }
  const std::uint32_t argsz = arg.argsz;
  probe::say(probe::call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg),
             "ATTACH argsz %u flags %x %s pasid %u", argsz, arg.flags,
             known ? "the IOAS" : "another id", arg.pasid);
}

void bind_again(Dice& dice) {
  struct {
    std::uint32_t argsz, flags;
    std::int32_t iommufd;
    std::uint32_t out_devid;
    std::uint64_t token;
  } arg = {};
  static const std::uint8_t token[16] = {1, 2, 3};
  const File files[] = {{"iommufd", iommufd},
                        {"iommufd", iommufd},
                        {"device", device},
                        {"-1", -1},
                        {"e0", events[0]}};
  const File& file = files[dice.below(5)];
  arg.argsz = dice.mostly<std::uint32_t>(16, {0, 11, 12, 15, 24, 24, 24});
  arg.flags = dice.mostly<std::uint32_t>(0, {1, 1, 2});
  arg.iommufd = file.fd;
  arg.token = dice.once_in(3) ? 0 : probe::address_of(token);
  const std::uint32_t argsz = arg.argsz;
  const long done = probe::call(device, VFIO_DEVICE_BIND_IOMMUFD, arg);
  probe::say(done, "BIND argsz %u flags %x %s token %d", argsz, arg.flags, file.name,
             arg.token != 0);
  if (done != 0) return;
  devid = arg.out_devid;
  look_at_regions();
}

/// Where a capability is in what VFIO shows, 0 if there is none.
std::uint32_t capability(std::uint8_t id) {
  std::uint8_t at = 0;
  (void)!pread(device, &at, 1, static_cast<off_t>(regions[7] + 0x34));
  for (int i = 0; i < 48 && at != 0; ++i) {
    std::uint8_t head[2] = {};
    (void)!pread(device, head, 2, static_cast<off_t>(regions[7] + at));
    if (head[0] == id) return at;
    at = head[1];
  }
  return 0;
}

void config(Dice& dice) {
  struct Place {
    const char* name;
    std::uint8_t id, offset, size;
    std::uint32_t same;  ///< bits that are alike on every function; the others must not change
  };
  static constexpr Place kPlaces[] = {{"command", 0, 4, 2, 0x406},
                                      {"status", 0, 6, 2, 0},
                                      {"revision", 0, 8, 4, 0},
                                      {"cache line", 0, 0xc, 1, 0xff},
                                      {"latency", 0, 0xd, 1, 0xff},
                                      {"header", 0, 0xe, 1, 0},
                                      {"bist", 0, 0xf, 1, 0},
                                      {"bar 0", 0, 0x10, 4, 0xfff0},
                                      {"vendor", 0, 0, 4, 0},
                                      {"subsystem", 0, 0x2c, 4, 0},
                                      {"line", 0, 0x3c, 1, 0xff},
                                      {"pin", 0, 0x3d, 1, 0xff},
                                      {"grant", 0, 0x3e, 2, 0},
                                      {"pointer", 0, 0x34, 1, 0},
                                      {"reserved", 0, 0x35, 2, 0xffff},
                                      {"pm caps", 1, 2, 2, 0},
                                      {"pm control", 1, 4, 2, 3},
                                      {"pm data", 1, 6, 2, 0},
                                      {"pcie caps", 0x10, 2, 2, 0},
                                      {"device caps", 0x10, 4, 4, 0},
                                      {"device control", 0x10, 8, 2, 0x70e0},
                                      {"link caps", 0x10, 12, 4, 0},
                                      {"msi control", 5, 2, 2, 1},
                                      {"msi-x control", 0x11, 2, 2, 0xc000},
                                      {"msi-x table", 0x11, 4, 4, 0},
                                      {"msi-x pba", 0x11, 8, 4, 0}};
  const Place& place = kPlaces[dice.below(std::size(kPlaces))];
  const std::uint32_t base = place.id != 0 ? capability(place.id) : 0;
  const auto at = static_cast<off_t>(regions[7] + base + place.offset);
  std::uint32_t before = 0, after = 0;
  std::uint32_t value =
      static_cast<std::uint32_t>(dice.of<std::uint64_t>({0, ~0UL, dice.next(), dice.next()}));
  if (strcmp(place.name, "pm control") == 0) value &= ~3U;          // stays awake
  if (strcmp(place.name, "device control") == 0) value &= 0x7fffU;  // no reset
  const ssize_t had = pread(device, &before, place.size, at);
  const ssize_t put = pwrite(device, &value, place.size, at);
  (void)!pread(device, &after, place.size, at);
  const std::uint32_t mask = place.size == 4 ? ~0U : (1U << (8U * place.size)) - 1;
  const std::uint32_t alike = after & place.same;
  const std::uint32_t changed = place.same == 0 ? before ^ after : 0;
  printf("config %s: %zd of it, wrote %x: %zd, now %x, changed %x\n", place.name, had, value & mask,
         put, alike, changed);
}

void access(Dice& dice) {
  const std::uint64_t index = dice.of<std::uint64_t>({0, 0, 0, 7, 8, 9, 20});
  const std::uint64_t size = index < 9 ? sizes[index] : 0x1000;
  const std::uint64_t back = dice.of<std::uint64_t>({0, 1, 2, 4, 8, 16, 3});
  const std::uint64_t length = dice.of<std::uint64_t>({0, 1, 2, 4, 8, 3, 16, 5});
  const std::uint64_t at = (index << 40U) + (size < back ? 0 : size - back);
  std::uint8_t bytes[32] = {};
  const ssize_t got = pread(device, bytes, length, static_cast<off_t>(at));
  probe::say_value(got, "read %lu of region %lu, %lu before its end", length, index, back);
}

void map(Dice& dice) {
  const std::uint64_t index = dice.of<std::uint64_t>({6, 7, 8, 9, 20});
  void* at = mmap(nullptr, 0x1000, PROT_READ, dice.once_in(3) ? MAP_PRIVATE : MAP_SHARED, device,
                  static_cast<off_t>(index << 40U));
  probe::say(at == MAP_FAILED ? -1 : 0, "mmap of region %lu", index);
}

void other(Dice& dice) {
  switch (dice.below(3)) {
    case 0:
      probe::say(ioctl(device, VFIO_DEVICE_RESET), "RESET");
      return;
    case 1: {
      const unsigned long number = 0x3b64 + dice.below(0x16);
      probe::say_value(ioctl(device, number, nullptr), "call %lx", number);
      return;
    }
    default: {
      char byte = 0;
      const int which = static_cast<int>(dice.below(4));
      probe::say(which == 0   ? read(device, &byte, 1)
                 : which == 1 ? lseek(device, 0, SEEK_SET)
                 : which == 2 ? fsync(device)
                              : ftruncate(device, 0),
                 "file call %d", which);
      return;
    }
  }
}

void story(Dice& dice) {
  for (int& fd : events) fd = eventfd(0, EFD_NONBLOCK);
  const bool bound = dice.below(8) != 0;
  if (by_group) {
    const probe::Contained both = probe::contained(VFIO_TYPE1v2_IOMMU);
    iommufd = both.group;
    device = static_cast<int>(probe::device_fd(both.group, probe::device_name()));
    if (device < 0) probe::give_up("GET_DEVICE_FD");
  } else {
    iommufd = probe::open_iommufd();
    device = probe::open_device();
    ioas = probe::alloc_ioas(iommufd);
    if (bound && probe::bind(device, iommufd, &devid) != 0) probe::give_up("bind");
  }
  look_at_regions();
  for (int calls = 0; calls < 30; ++calls) {
    const std::uint64_t what = dice.below(32);
    if (what < 10)
      set_irqs(dice);
    else if (what < 11)
      irq_info(dice);
    else if (what < 12)
      info(dice);
    else if (what < 13)
      region_info(dice);
    else if (what < 14)
      hot_reset_info(dice);
    else if (what < 15)
      hot_reset(dice);
    else if (what < 17)
      ioeventfd(dice);
    else if (what < 20)
      feature(dice);
    else if (what < 22)
      attach(dice);
    else if (what < 23)
      bind_again(dice);
    else if (what < 28)
      config(dice);
    else if (what < 30)
      access(dice);
    else if (what < 31)
      map(dice);
    else
      other(dice);
  }
}

}  // namespace

int main(int argc, char** argv) {
  by_group = getenv("ORACLE_BY_GROUP") != nullptr;
  return probe::stories(argc, argv, 12, story);
}
