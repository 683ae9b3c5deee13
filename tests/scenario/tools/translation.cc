// What a VMM does with dirty tracking, nested HWPTs and PASIDs, and what GET_HW_INFO promises:
// translation (intel-pasids | intel | amd | arm).
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "abi/iommufd.h"
#include "abi/vfio.h"

namespace {

using namespace teeio::abi;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPages = 16;
constexpr std::uint64_t kBase = 0x100000;      ///< IOVA of page 0, which has the ring
constexpr std::uint64_t kTables = 4;           ///< pages of a first stage
constexpr std::uint64_t kVa = 0x7f0000100000;  ///< where the first stage has page 0
constexpr std::uint32_t kPasid = 5;

const char* machine = "";
int iommufd = -1;
int device = -1;
std::uint32_t dev_id = 0;
std::uint32_t ioas = 0;
std::uint64_t* memory = nullptr;

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s: %s (%s)\n", machine, what, std::strerror(errno));
  std::exit(1);
}
bool is(const char* name) { return std::strcmp(machine, name) == 0; }
bool intel() { return is("intel") || is("intel-pasids"); }
std::uint64_t iova(std::uint64_t page) { return kBase + page * kPage; }
std::uint64_t* page(std::uint64_t number) { return memory + number * kPage / 8; }

template <class T>
T sized() {
  T arg = {};
  arg.size = sizeof(arg);
  return arg;
}

// --- Set-up ---

void open_all() {
  iommufd = open("/dev/iommu", O_RDWR);
  device = open("/dev/vfio/devices/vfio1", O_RDWR);  // a VF
  check(iommufd >= 0 && device >= 0, "the devices");
  vfio_device_bind_iommufd bind = {};
  bind.argsz = sizeof(bind);
  bind.iommufd = iommufd;
  check(ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind) == 0, "VFIO_DEVICE_BIND_IOMMUFD");
  dev_id = bind.out_devid;
  auto alloc = sized<iommu_ioas_alloc>();
  check(ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) == 0, "IOMMU_IOAS_ALLOC");
  ioas = alloc.out_ioas_id;
  const int memfd = memfd_create("guest", 0);
  check(memfd >= 0 && ftruncate(memfd, kPages * kPage) == 0, "memory");
  void* const mapped = mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  check(mapped != MAP_FAILED, "memory");
  memory = static_cast<std::uint64_t*>(mapped);
  auto map = sized<iommu_ioas_map>();
  map.flags = 7;
  map.ioas_id = ioas;
  map.user_va = reinterpret_cast<std::uintptr_t>(mapped);
  map.length = kPages * kPage;
  map.iova = kBase;
  check(ioctl(iommufd, IOMMU_IOAS_MAP, &map) == 0, "IOMMU_IOAS_MAP");
}

/// 0: refused, with errno.
std::uint32_t hwpt(std::uint32_t flags, std::uint32_t from, iommu_hwpt_vtd_s1* config = nullptr) {
  auto arg = sized<iommu_hwpt_alloc>();
  arg.flags = flags;
  arg.dev_id = dev_id;
  arg.pt_id = from;
  if (config != nullptr) {
    arg.data_type = IOMMU_HWPT_DATA_VTD_S1;
    arg.data_len = sizeof(*config);
    arg.data_uptr = reinterpret_cast<std::uintptr_t>(config);
  }
  return ioctl(iommufd, IOMMU_HWPT_ALLOC, &arg) == 0 ? arg.out_hwpt_id : 0;
}
bool attach(std::uint32_t id, bool pasid = false) {
  vfio_device_attach_iommufd_pt arg = {};
  arg.argsz = sizeof(arg);
  arg.flags = pasid ? VFIO_DEVICE_ATTACH_PASID : 0;
  arg.pt_id = id;
  arg.pasid = pasid ? kPasid : 0;
  return ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg) == 0;
}
void detach(bool pasid = false) {
  vfio_device_detach_iommufd_pt arg = {};
  arg.argsz = sizeof(arg);
  arg.flags = pasid ? VFIO_DEVICE_DETACH_PASID : 0;
  arg.pasid = kPasid;
  check(ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &arg) == 0, "VFIO_DEVICE_DETACH_IOMMUFD_PT");
}
void destroy(std::uint32_t id) {
  auto arg = sized<iommu_destroy>();
  arg.id = id;
  check(ioctl(iommufd, IOMMU_DESTROY, &arg) == 0, "IOMMU_DESTROY");
}

// --- The card ---

void set(off_t offset, std::uint32_t value) {
  check(pwrite(device, &value, sizeof(value), offset) == sizeof(value), "a register");
}
std::uint32_t get(off_t offset) {
  std::uint32_t value = 0;
  check(pread(device, &value, sizeof(value), offset) == sizeof(value), "a register");
  return value;
}
/// Fills 8 bytes at `to` by DMA, with the ring at `ring`; gives the engine's error.
std::uint32_t fill(std::uint64_t to, std::uint64_t pattern, std::uint64_t ring = kBase,
                   bool pasid = false) {
  const std::uint16_t memory_and_master = 6;
  check(pwrite(device, &memory_and_master, 2, (off_t{7} << 40) + 4) == 2, "the command register");
  const std::uint64_t descriptor[4] = {2 | (pasid ? 1U << 10U : 0U) | std::uint64_t{8} << 32U,
                                       pattern, to, pasid ? std::uint64_t{kPasid} << 32U : 0};
  std::memcpy(page(0), descriptor, sizeof(descriptor));
  set(0x08, 2);  // reset
  set(0x10, static_cast<std::uint32_t>(ring));
  set(0x14, static_cast<std::uint32_t>(ring >> 32U));
  set(0x18, 2);
  set(0x08, 1);
  set(0x24, 1);
  return get(0x28);
}

// --- What is tried ---

void promises() {
  std::uint64_t data[4] = {};
  auto arg = sized<iommu_hw_info>();
  arg.dev_id = dev_id;
  arg.data_len = sizeof(data);
  arg.data_uptr = reinterpret_cast<std::uintptr_t>(data);
  check(ioctl(iommufd, IOMMU_GET_HW_INFO, &arg) == 0, "IOMMU_GET_HW_INFO");
  const bool dirty = (arg.out_capabilities & IOMMU_HW_CAP_DIRTY_TRACKING) != 0;
  check(dirty == !is("arm"), "IOMMU_HW_CAP_DIRTY_TRACKING");
  check((arg.out_capabilities & (IOMMU_HW_CAP_PCI_PASID_EXEC | IOMMU_HW_CAP_PCI_PASID_PRIV)) == 0,
        "modes of PASIDs that the card has not");
  check(arg.out_max_pasid_log2 == (is("intel-pasids") ? 15 : 0), "out_max_pasid_log2");
  if (!intel()) return;
  constexpr std::uint64_t kNest = std::uint64_t{1} << 26U, kPasids = std::uint64_t{1} << 40U;
  constexpr std::uint64_t kDirty = std::uint64_t{1} << 45U, kCoherent = std::uint64_t{1} << 48U;
  constexpr std::uint64_t kAll = kNest | kPasids | kDirty | kCoherent;
  check((data[2] & kAll) == kAll, "ECAP has no NEST, PASID, SSADS or SMPWC");
}

std::uint64_t bitmap(std::uint32_t id, std::uint32_t flags = 0) {
  std::uint64_t bits = 0;
  auto arg = sized<iommu_hwpt_get_dirty_bitmap>();
  arg.hwpt_id = id;
  arg.flags = flags;
  arg.iova = kBase;
  arg.length = kPages * kPage;
  arg.page_size = kPage;
  arg.data = reinterpret_cast<std::uintptr_t>(&bits);
  check(ioctl(iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, &arg) == 0, "IOMMU_HWPT_GET_DIRTY_BITMAP");
  return bits;
}

void dirty_pages() {
  const std::uint32_t id = hwpt(IOMMU_HWPT_ALLOC_DIRTY_TRACKING, ioas);
  if (is("arm")) {
    check(id == 0 && errno == EOPNOTSUPP, "an Arm machine's stand-in tracks dirty pages");
    return;
  }
  check(id != 0 && attach(id), "a HWPT that tracks dirty pages");
  check(fill(iova(3), 1) == 0 && *page(3) == 1, "DMA");
  check(bitmap(id) == 0, "dirty pages that nobody tracks");
  auto track = sized<iommu_hwpt_set_dirty_tracking>();
  track.flags = IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
  track.hwpt_id = id;
  check(ioctl(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, &track) == 0, "SET_DIRTY_TRACKING");
  check(fill(iova(3), 2) == 0 && fill(iova(9), 3) == 0, "DMA");
  // Page 0 is where the card has written the descriptor's status. AMD's tables have one page
  // of 64 KiB for all sixteen, with one dirty bit.
  const auto pages = [](std::uint64_t bits) { return is("amd") ? 0xffff : bits; };
  check(bitmap(id, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR) == pages(1U << 9U | 1U << 3U | 1U),
        "NO_CLEAR");
  check(bitmap(id) == pages(1U << 9U | 1U << 3U | 1U), "the bitmap");
  check(bitmap(id) == 0, "a bitmap that was cleared");
  check(fill(iova(9), 4) == 0 && bitmap(id) == pages(1U << 9U | 1U), "a page written again");
  detach();
  destroy(id);
}

void nested() {
  const std::uint32_t parent = hwpt(IOMMU_HWPT_ALLOC_NEST_PARENT, ioas);
  check(parent != 0, "a nest parent");
  iommu_hwpt_vtd_s1 config = {};
  config.pgtbl_addr = iova(kTables);
  config.addr_width = 48;
  const std::uint32_t id = hwpt(0, parent, &config);
  if (!intel()) {
    check(id == 0 && errno == EOPNOTSUPP, "a first stage of VT-d's elsewhere");
    destroy(parent);
    return;
  }
  check(id != 0, "a nested HWPT");
  for (std::uint64_t level = 0; level < 3; ++level)
    page(kTables + level)[kVa >> (39 - 9 * level) & 0x1ff] = iova(kTables + level + 1) | 7;
  std::uint64_t* const leaves = page(kTables + 3) + (kVa >> 12U & 0x1ff);
  leaves[0] = iova(0) | 7;
  leaves[1] = iova(10) | 7;
  check(attach(id), "the nested HWPT is not attached");
  check(fill(kVa + kPage, 5, kVa) == 0 && *page(10) == 5, "DMA through both stages");
  check((leaves[1] & 0x60) == 0x60, "accessed and dirty bits of the first stage");
  check(fill(kVa + 2 * kPage, 6, kVa) != 0, "DMA to what the first stage has not");
  leaves[1] = iova(11) | 7;
  check(fill(kVa + kPage, 7, kVa) == 0 && *page(10) == 7, "the IOTLB has forgotten by itself");
  iommu_hwpt_vtd_s1_invalidate commands[2] = {};
  commands[0].addr = kVa + kPage;
  commands[0].npages = 1;
  commands[1].addr = 8;
  auto arg = sized<iommu_hwpt_invalidate>();
  arg.hwpt_id = id;
  arg.data_uptr = reinterpret_cast<std::uintptr_t>(commands);
  arg.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
  arg.entry_len = sizeof(commands[0]);
  arg.entry_num = 2;
  check(ioctl(iommufd, IOMMU_HWPT_INVALIDATE, &arg) == -1 && errno == EINVAL && arg.entry_num == 1,
        "IOMMU_HWPT_INVALIDATE of a page and of no page's address");
  check(fill(kVa + kPage, 8, kVa) == 0 && *page(11) == 8 && *page(10) == 7, "after it");
  config.addr_width = 57;
  const std::uint32_t wide = hwpt(0, parent, &config);
  check(wide != 0 && !attach(wide) && errno == EINVAL, "five levels are attached");
  destroy(wide);
  detach();
  destroy(id);
  destroy(parent);
}

void refused_pasids(std::uint32_t id, bool has) {
  vfio_device_attach_iommufd_pt arg = {};
  arg.argsz = sizeof(arg) - 4;
  arg.flags = VFIO_DEVICE_ATTACH_PASID;
  arg.pt_id = id;
  check(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg) == -1 && errno == EINVAL,
        "an argument without its PASID");
  arg.argsz = sizeof(arg);
  arg.pasid = 0x80000000;
  check(ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg) == -1 && errno == ENOSPC,
        "a PASID that no int has");
  arg.pasid = 1U << 15U;
  const bool wide = ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &arg) == 0;
  check(wide ? !has : has && errno == EINVAL, "a PASID beyond ECAP.PSS");
  if (!wide) return;
  vfio_device_detach_iommufd_pt away = {};
  away.argsz = sizeof(away);
  away.flags = VFIO_DEVICE_DETACH_PASID;
  away.pasid = arg.pasid;
  check(ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &away) == 0, "a PASID of no device");
}

void pasids() {
  const std::uint32_t id = hwpt(IOMMU_HWPT_ALLOC_PASID, ioas);
  if (is("amd")) {
    check(id == 0 && errno == EOPNOTSUPP, "PASIDs on AMD's host tables");
    return;
  }
  check(id != 0 && attach(id), "a HWPT for PASIDs");
  if (is("arm")) {
    check(!attach(id, true) && errno == EOPNOTSUPP, "PASIDs on an Arm machine's stand-in");
    detach();
    return;
  }
  check(attach(id, true), "VFIO_DEVICE_ATTACH_PASID");
  const bool has = is("intel-pasids");
  refused_pasids(id, has);
  check((fill(iova(12), 9, kBase, true) == 0) == has && (*page(12) == 9) == has,
        "DMA with a PASID");
  const std::uint32_t other = hwpt(IOMMU_HWPT_ALLOC_PASID, ioas);
  check(other != 0 && attach(other, true), "a PASID's HWPT is replaced");
  check(ioctl(device, VFIO_DEVICE_RESET) == 0, "VFIO_DEVICE_RESET");
  check((fill(iova(13), 12, kBase, true) == 0) == has && (*page(13) == 12) == has,
        "DMA with a PASID after a replace and a reset");
  detach(true);
  check(fill(iova(12), 10, kBase, true) != 0 && *page(12) != 10, "a PASID that was detached");
  check(fill(iova(12), 11) == 0 && *page(12) == 11, "the function beside it");
  detach();
  destroy(other);
  destroy(id);
  // What is attached still when the device is closed goes with it.
  const std::uint32_t last = hwpt(IOMMU_HWPT_ALLOC_PASID, ioas);
  check(last != 0 && attach(last, true), "a PASID alone");
  check(close(device) == 0, "close");
  destroy(last);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) machine = argv[1];
  open_all();
  promises();
  dirty_pages();
  nested();
  pasids();
  std::printf("%s: as it should be\n", machine);
}
