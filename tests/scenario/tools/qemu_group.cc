// Runs in a QEMU guest: finds teeio's DMA-engine function, has it copy a page of memory into
// its own and back, and looks at a DMA to nowhere. Registers: docs/devices/dma-engine.md.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr std::size_t kPage = 4096;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// The sysfs directory of the first function 1efe:0d0x.
std::string find_function() {
  const std::string root = "/sys/bus/pci/devices/";
  DIR* dir = opendir(root.c_str());
  if (dir == nullptr) fail("no PCI bus");
  while (const dirent* entry = readdir(dir)) {
    std::uint32_t id = 0;
    const int fd = open((root + entry->d_name + "/config").c_str(), O_RDONLY);
    if (fd < 0) continue;
    const bool read = pread(fd, &id, sizeof(id), 0) == sizeof(id);
    close(fd);
    if (read && (id & 0xfff0ffffU) == 0x0d001efeU) {
      const std::string found = root + entry->d_name;
      closedir(dir);
      return found;
    }
  }
  closedir(dir);
  errno = ENODEV;
  fail("1efe:0d0x");
}

void enable(const std::string& function) {
  const int fd = open((function + "/config").c_str(), O_RDWR);
  const std::uint16_t command = 6;
  if (fd < 0 || pwrite(fd, &command, sizeof(command), 4) != sizeof(command))
    fail("command register");
  close(fd);
}

volatile std::uint32_t* registers(const std::string& function) {
  const int fd = open((function + "/resource0").c_str(), O_RDWR);
  if (fd < 0) fail("resource0");
  void* mapped = mmap(nullptr, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) fail("mmap of resource0");
  return static_cast<volatile std::uint32_t*>(mapped);
}

struct Page {
  std::uint8_t* bytes;
  std::uint64_t address;  ///< on the guest's bus
};

Page page() {
  void* memory = mmap(nullptr, kPage, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  std::memset(memory, 0, kPage);
  std::uint64_t entry = 0;
  const int fd = open("/proc/self/pagemap", O_RDONLY);
  const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(memory) / kPage * 8);
  if (fd < 0 || pread(fd, &entry, sizeof(entry), at) != sizeof(entry)) fail("pagemap");
  close(fd);
  return {static_cast<std::uint8_t*>(memory), (entry & ((1ULL << 55U) - 1)) * kPage};
}

struct Descriptor {
  std::uint32_t flags, length;
  std::uint64_t source, destination;
  std::uint32_t status, zero;
};

/// Gives the ERROR register.
std::uint32_t ring(volatile std::uint32_t* r, const Page& at, std::uint32_t count) {
  r[0x08 / 4] = 2;
  r[0x10 / 4] = static_cast<std::uint32_t>(at.address);
  r[0x14 / 4] = static_cast<std::uint32_t>(at.address >> 32U);
  r[0x18 / 4] = 4;
  r[0x08 / 4] = 1;
  r[0x24 / 4] = count;
  return r[0x28 / 4];
}

}  // namespace

int main() {
  const std::string function = find_function();
  enable(function);
  volatile std::uint32_t* r = registers(function);
  std::printf("found %s, ID %08x\n", function.c_str(), r[0]);
  const Page descriptors = page(), from = page(), to = page();
  for (std::size_t i = 0; i < kPage; ++i) from.bytes[i] = static_cast<std::uint8_t>(i * 7 + 3);
  auto* entries = reinterpret_cast<Descriptor*>(descriptors.bytes);
  entries[0] = {1U << 2U, kPage, from.address, 0x1000, 0, 0};
  entries[1] = {1, kPage, 0x1000, to.address, 0, 0};
  const std::uint32_t error = ring(r, descriptors, 2);
  std::printf("copy: ERROR %u, %s\n", error,
              std::memcmp(from.bytes, to.bytes, kPage) == 0 ? "the page is there" : "WRONG");
  entries[0] = {1U << 2U, 64, 0x7f0000000000, 0, 0, 0};
  std::printf("DMA from nowhere: ERROR %u\n", ring(r, descriptors, 1));
  std::puts("guest done");
}
