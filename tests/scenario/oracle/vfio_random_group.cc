// Groups, containers of every type and their devices, in any order and with odd
// arguments: "PROGRAM COUNT FIRST" asks more than what is recorded.
#include <sys/eventfd.h>

#include "group.h"
#include "random.h"

namespace {

using probe::Dice;

constexpr int kPages = 16;

enum Slot {
  kContainer,
  kContainer2,
  kGroup,
  kGroup2,
  kDevice,
  kDevice2,
  kNode,
  kIommufd,
  kEvent,
  kNull,
  kSlots
};
constexpr const char* kNames[kSlots] = {"c0", "c1",   "g0",      "g1",    "d0",
                                        "d1", "node", "iommufd", "event", "null"};

int files[kSlots];
std::byte* memory;
char groups[2][64], names[2][64];

/// Group and name of the function with that address, else behind that node.
void find(int which, const char* bdf, const char* node) {
  if (bdf != nullptr)
    setenv("ORACLE_BDF", bdf, 1);
  else
    setenv("ORACLE_VFIO", node, 1);
  snprintf(groups[which], sizeof(groups[which]), "%s", probe::group_path());
  snprintf(names[which], sizeof(names[which]), "%s", probe::device_name());
}

int open_slot(int slot) {
  switch (slot) {
    case kContainer:
    case kContainer2:
      return open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    case kGroup:
    case kGroup2:
      return open(groups[slot - kGroup], O_RDWR | O_CLOEXEC);
    case kDevice:
    case kDevice2:
      if (files[kGroup + slot - kDevice] < 0) return -1;
      return static_cast<int>(
          probe::device_fd(files[kGroup + slot - kDevice], names[slot - kDevice]));
    case kNode:
      return open(probe::device_path(), O_RDWR | O_CLOEXEC);
    case kIommufd:
      return open("/dev/iommu", O_RDWR | O_CLOEXEC);
    case kEvent:
      return eventfd(0, 0);
    default:
      return open("/dev/null", O_RDWR);
  }
}

void reopen(int slot) {
  if (files[slot] >= 0) return;
  files[slot] = open_slot(slot);
  probe::say(files[slot], "open %s", kNames[slot]);
}

/// A slot of the usual kind, seldom another, open if it can be.
int slot(Dice& dice, std::initializer_list<int> usual) {
  const int chosen = dice.below(12) != 0 ? dice.of(usual) : static_cast<int>(dice.below(kSlots));
  reopen(chosen);
  return chosen;
}

std::uint64_t iova(Dice& dice) {
  if (dice.below(4) != 0) return 0x100000 + dice.below(16) * 0x1000;
  return dice.of<std::uint64_t>({0, 0x1000, 0x100800, 0xfee00000, 0xfedff000, 0xfff000, 1UL << 40U,
                                 (1UL << 48U) - 0x1000, 1UL << 48U, 1UL << 52U, 1UL << 63U,
                                 ~0UL - 0xfff, ~0UL});
}

std::uint64_t length(Dice& dice) {
  if (dice.below(4) != 0) return (1 + dice.below(6)) * 0x1000;
  return dice.of<std::uint64_t>({0, 1, 0x800, 0x1800, 0x10000, 0x11000, 0x200000, 1UL << 48U,
                                 1UL << 63U, ~0UL - 0xfff, ~0UL});
}

/// Where in the program's memory; prints its name.
std::uint64_t address(Dice& dice, char* name, std::size_t size) {
  const auto say = [&](const char* what, std::uint64_t offset) {
    snprintf(name, size, "%s+0x%lx", what, offset);
  };
  if (dice.below(4) != 0) {
    const std::uint64_t offset = dice.below(kPages) * probe::kPage;
    say("memory", offset);
    return probe::address_of(memory) + offset;
  }
  switch (dice.below(6)) {
    case 0:
      say("memory", 0x800);
      return probe::address_of(memory) + 0x800;
    case 1:
      say("read-only", 0);
      return probe::address_of(memory) + kPages * probe::kPage;
    case 2:
      say("none", 0);
      return probe::address_of(memory) + (kPages + 4) * probe::kPage;
    case 3: {
      const std::uint64_t at = dice.of<std::uint64_t>({0, 1UL << 47U, 1UL << 63U, ~0UL - 0xfff});
      say("at", at);
      return at;
    }
    default:
      say("hole", 0);
      return probe::address_of(memory) + (kPages + 8) * probe::kPage;
  }
}

void map(Dice& dice) {
  const int to = slot(dice, {kContainer, kContainer, kContainer2});
  char where[40];
  vfio_iommu_type1_dma_map arg = {};
  arg.argsz = dice.mostly<std::uint32_t>(sizeof(arg), {0, 8, 24, 31, 40});
  arg.flags = dice.mostly<std::uint32_t>(3, {0, 1, 2, 4, 7, 8, 0x80000000});
  arg.vaddr = arg.flags == 4 && dice.once_in(2) ? 0 : address(dice, where, sizeof(where));
  if (arg.vaddr == 0) snprintf(where, sizeof(where), "0");
  arg.iova = iova(dice);
  arg.size = length(dice);
  probe::say(probe::call(files[to], VFIO_IOMMU_MAP_DMA, arg),
             "MAP_DMA %s argsz %u flags %x %s iova %llx size %llx", kNames[to], arg.argsz,
             arg.flags, where, arg.iova, arg.size);
}

struct Bitmap {
  std::uint64_t page_size, bytes;
  std::uint64_t* data;
};

std::uint64_t bits[16];

Bitmap bitmap(Dice& dice) {
  for (std::uint64_t& word : bits) word = 0;
  return {dice.mostly<std::uint64_t>(0x1000, {0, 0x800, 0x2000, 0x200000, 0x3000}),
          dice.mostly<std::uint64_t>(sizeof(bits), {0, 1, 8, 16, 1UL << 40U}),
          dice.once_in(16) ? static_cast<std::uint64_t*>(probe::nowhere()) : bits};
}

void unmap(Dice& dice) {
  const int from = slot(dice, {kContainer, kContainer, kContainer2});
  struct {
    std::uint32_t argsz, flags;
    std::uint64_t iova, size;
    Bitmap bitmap;
  } arg = {};
  arg.flags = dice.mostly<std::uint32_t>(0, {1, 2, 3, 4, 5, 6, 8});
  arg.argsz = dice.mostly<std::uint32_t>((arg.flags & 1U) != 0 ? 48 : 24, {0, 8, 23, 24, 32, 48});
  arg.iova = iova(dice);
  arg.size = length(dice);
  if ((arg.flags & 2U) != 0 && dice.once_in(2)) arg.iova = arg.size = 0;
  if (dice.once_in(8))
    arg.iova = 0, arg.size = dice.of<std::uint64_t>({1UL << 48U, 1UL << 40U, ~0xfffUL});
  arg.bitmap = bitmap(dice);
  const std::uint64_t size = arg.size;
  const long done = probe::call(files[from], VFIO_IOMMU_UNMAP_DMA, arg);
  probe::say(done, "UNMAP_DMA %s argsz %u flags %x iova %lx size %lx (%lx in %lx)", kNames[from],
             arg.argsz, arg.flags, arg.iova, size, arg.bitmap.page_size, arg.bitmap.bytes);
  if (done == 0) printf("  size %lx bits %lx %lx\n", arg.size, bits[0], bits[1]);
}

void dirty(Dice& dice) {
  const int of = slot(dice, {kContainer, kContainer, kContainer2});
  struct {
    std::uint32_t argsz, flags;
    std::uint64_t iova, size;
    Bitmap bitmap;
  } arg = {};
  arg.flags = dice.of<std::uint32_t>({1, 1, 2, 4, 4, 4, 4, 0, 3, 5, 8});
  arg.argsz = dice.mostly<std::uint32_t>((arg.flags & 4U) != 0 ? 48 : 8, {0, 7, 8, 24, 47});
  arg.iova = iova(dice);
  arg.size = length(dice);
  arg.bitmap = bitmap(dice);
  const long done = probe::call(files[of], VFIO_IOMMU_DIRTY_PAGES, arg);
  probe::say(done, "DIRTY_PAGES %s argsz %u flags %x iova %lx size %lx (%lx in %lx)", kNames[of],
             arg.argsz, arg.flags, arg.iova, arg.size, arg.bitmap.page_size, arg.bitmap.bytes);
  if (done == 0 && arg.flags == 4) printf("  bits %lx %lx\n", bits[0], bits[1]);
}

void get_info(Dice& dice) {
  const int of = slot(dice, {kContainer, kContainer, kContainer2});
  alignas(8) std::byte room[4096] = {};
  auto* info = reinterpret_cast<vfio_iommu_type1_info*>(room);
  info->argsz = dice.of<std::uint32_t>({0, 8, 15, 16, 20, 24, 64, 4096});
  const std::uint32_t argsz = info->argsz;
  const long done = ioctl(files[of], VFIO_IOMMU_GET_INFO, room);
  probe::say(done, "IOMMU_GET_INFO %s argsz %u", kNames[of], argsz);
  if (done != 0) return;
  printf("  flags %x sizes %llx", info->flags, info->iova_pgsizes);
  if (argsz >= 24 && info->argsz <= argsz)
    for (std::uint32_t at = info->cap_offset; at != 0;) {
      const auto* head = reinterpret_cast<const vfio_info_cap_header*>(room + at);
      printf(" capability %u.%u", head->id, head->version);
      if (head->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
        printf(" (%u)", reinterpret_cast<const vfio_iommu_type1_info_dma_avail*>(head)->avail);
      at = head->next;
    }
  puts("");
}

void container_call(Dice& dice) {
  const int to = slot(dice, {kContainer, kContainer, kContainer2});
  switch (dice.below(4)) {
    case 0:
      probe::say_value(ioctl(files[to], VFIO_GET_API_VERSION), "GET_API_VERSION %s", kNames[to]);
      break;
    case 1: {
      long what = static_cast<long>(dice.below(14)) - 1;
      if (what == VFIO_DMA_CC_IOMMU) what = 0;  // the machine's
      probe::say_value(ioctl(files[to], VFIO_CHECK_EXTENSION, what), "CHECK_EXTENSION %s %ld",
                       kNames[to], what);
      break;
    }
    default: {
      const long type = dice.mostly<long>(VFIO_TYPE1v2_IOMMU,
                                          {VFIO_TYPE1_IOMMU, VFIO_TYPE1_IOMMU, 0, 2, 6, 8, 11, -1});
      probe::say(ioctl(files[to], VFIO_SET_IOMMU, type), "SET_IOMMU %s %ld", kNames[to], type);
    }
  }
}

void group_call(Dice& dice) {
  const int to = slot(dice, {kGroup, kGroup, kGroup2});
  switch (dice.below(8)) {
    case 0: {
      vfio_group_status arg = {dice.mostly<std::uint32_t>(8, {0, 7, 9}), 0};
      const std::uint32_t argsz = arg.argsz;
      const long done = probe::call(files[to], VFIO_GROUP_GET_STATUS, arg);
      probe::say(done, "GET_STATUS %s argsz %u", kNames[to], argsz);
      if (done == 0) printf("  flags %u argsz %u\n", arg.flags, arg.argsz);
      break;
    }
    case 1:
      probe::say(ioctl(files[to], VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER %s", kNames[to]);
      break;
    case 2:
    case 3: {
      char text[128];
      const int whose = dice.below(6) == 0 ? 1 : to == kGroup2 ? 1 : 0;
      const char* tail = dice.mostly<const char*>("", {"x", " ", " vf_token=", " other=1"});
      snprintf(text, sizeof(text), "%s%s", dice.once_in(12) ? "0000:00:1f.7" : names[whose], tail);
      const long fd = probe::device_fd(files[to], text);
      probe::say(fd, "GET_DEVICE_FD %s name %d \"%s\"", kNames[to], whose, tail);
      if (fd >= 0) {
        const int at = to == kGroup2 ? kDevice2 : kDevice;
        if (files[at] >= 0) close(files[at]);
        files[at] = static_cast<int>(fd);
      }
      break;
    }
    default: {
      const int container = slot(dice, {kContainer, kContainer, kContainer, kContainer2, kIommufd});
      probe::say(probe::set_container(files[to], files[container]), "SET_CONTAINER %s %s",
                 kNames[to], kNames[container]);
    }
  }
}

void device_call(Dice& dice) {
  const int to = slot(dice, {kDevice, kDevice, kDevice2, kNode});
  switch (dice.below(7)) {
    case 0:
    case 1: {
      vfio_device_info arg = {};
      arg.argsz = sizeof(arg);
      const long done = probe::call(files[to], VFIO_DEVICE_GET_INFO, arg);
      probe::say(done, "DEVICE_GET_INFO %s", kNames[to]);
      if (done == 0) printf("  flags %x\n", arg.flags);
      break;
    }
    case 2:
      probe::say(ioctl(files[to], VFIO_DEVICE_RESET), "DEVICE_RESET %s", kNames[to]);
      break;
    case 3: {
      const int iommufd = slot(dice, {kIommufd, kIommufd, kContainer});
      probe::say(probe::bind(files[to], files[iommufd], nullptr), "BIND_IOMMUFD %s %s", kNames[to],
                 kNames[iommufd]);
      break;
    }
    case 4:
      probe::say(probe::attach(files[to], static_cast<std::uint32_t>(dice.below(4))), "ATTACH %s",
                 kNames[to]);
      break;
    default: {
      const std::uint32_t arg[3] = {dice.of<std::uint32_t>({0, 11, 12}), 1, 0};
      probe::say(probe::call(files[to], VFIO_DEVICE_PCI_HOT_RESET, arg),
                 "PCI_HOT_RESET %s argsz %u flags 1", kNames[to], arg[0]);
    }
  }
}

void any_call(Dice& dice) {
  const int to = slot(dice, {kContainer, kGroup, kDevice, kNode});
  const unsigned long number = 0x3b64 + dice.below(0x16);
  // Null, so that each call that takes an argument refuses it.
  if (number == VFIO_GROUP_UNSET_CONTAINER || number == VFIO_GET_API_VERSION) return;
  probe::say_value(ioctl(files[to], number, nullptr), "call %lx %s", number, kNames[to]);
}

void close_one(Dice& dice) {
  const int which = static_cast<int>(dice.below(kSlots));
  if (files[which] < 0) return;
  probe::say(close(files[which]), "close %s", kNames[which]);
  files[which] = -1;
}

void begin(Dice& dice) {
  for (int& file : files) file = -1;
  memory = probe::pages(kPages + 16);
  memset(memory, 1, kPages * probe::kPage);
  mprotect(memory + kPages * probe::kPage, 4 * probe::kPage, PROT_READ);
  mprotect(memory + (kPages + 4) * probe::kPage, 4 * probe::kPage, PROT_NONE);
  munmap(memory + (kPages + 8) * probe::kPage, 8 * probe::kPage);
  if (dice.once_in(4)) return;
  for (const int which : {kContainer, kGroup}) reopen(which);
  probe::say(probe::set_container(files[kGroup], files[kContainer]), "SET_CONTAINER g0 c0");
  const long type = dice.mostly<long>(VFIO_TYPE1v2_IOMMU, {VFIO_TYPE1_IOMMU});
  probe::say(ioctl(files[kContainer], VFIO_SET_IOMMU, type), "SET_IOMMU c0 %ld", type);
}

void story(Dice& dice) {
  begin(dice);
  for (int calls = 0; calls < 24; ++calls) {
    const std::uint64_t what = dice.below(32);
    if (what < 7)
      map(dice);
    else if (what < 12)
      unmap(dice);
    else if (what < 15)
      dirty(dice);
    else if (what < 17)
      get_info(dice);
    else if (what < 20)
      container_call(dice);
    else if (what < 25)
      group_call(dice);
    else if (what < 28)
      device_call(dice);
    else if (what < 29)
      any_call(dice);
    else
      close_one(dice);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char* bdf = getenv("ORACLE_BDF");
  char first[2][64];
  snprintf(first[0], sizeof(first[0]), "%s", bdf != nullptr ? bdf : "");
  snprintf(first[1], sizeof(first[1]), "%s", probe::device_path());
  const char* second = getenv("ORACLE_VFIO2");
  find(1, getenv("ORACLE_BDF2"), second != nullptr ? second : "/dev/vfio/devices/vfio1");
  find(0, bdf != nullptr ? first[0] : nullptr, first[1]);
  return probe::stories(argc, argv, 12, story);
}
