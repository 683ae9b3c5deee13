// Calls that need what not every machine has (nested page tables, dirty pages,
// queues): the sizes of their structures, and everything that Linux checks before
// it would need the thing.
#include "probe.h"

namespace {

struct Known {
  const char* name;
  unsigned long request;
  std::uint32_t min_size;
  std::uint32_t size;
  bool answers_zeros;  // the answer to a structure of zeros is no machine's choice
};

#define END_OF(type, field) (offsetof(type, field) + sizeof(type::field))
#define KNOWN(request, type, last, answers_zeros) \
  Known { #request, request, END_OF(type, last), sizeof(type), answers_zeros }

constexpr Known kCalls[] = {
    KNOWN(IOMMU_FAULT_QUEUE_ALLOC, iommu_fault_alloc, out_fault_fd, false),
    KNOWN(IOMMU_HW_QUEUE_ALLOC, iommu_hw_queue_alloc, length, true),
    KNOWN(IOMMU_HWPT_GET_DIRTY_BITMAP, iommu_hwpt_get_dirty_bitmap, data, true),
    KNOWN(IOMMU_HWPT_INVALIDATE, iommu_hwpt_invalidate, __reserved, true),
    KNOWN(IOMMU_HWPT_SET_DIRTY_TRACKING, iommu_hwpt_set_dirty_tracking, __reserved, true),
    KNOWN(IOMMU_IOAS_CHANGE_PROCESS, iommu_ioas_change_process, __reserved, true),
    KNOWN(IOMMU_IOAS_NOIOMMU_GET_PA, iommu_ioas_noiommu_get_pa, out_phys, false),
    KNOWN(IOMMU_VEVENTQ_ALLOC, iommu_veventq_alloc, out_veventq_fd, true),
    KNOWN(IOMMU_VFIO_IOAS, iommu_vfio_ioas, __reserved, true),
};

int iommufd;

long call(const Known& known, std::uint32_t size, std::uint32_t dirty) {
  static std::byte memory[128];
  memset(memory, 0, sizeof(memory));
  memcpy(memory, &size, sizeof(size));
  if (dirty != 0) memory[dirty] = std::byte{1};
  return ioctl(iommufd, known.request, memory);
}

template <class Arg>
long invalidate(Arg& arg, std::uint32_t id, std::uint32_t entries) {
  arg.size = sizeof(arg);
  arg.hwpt_id = id;
  arg.entry_num = entries;
  return probe::call(iommufd, IOMMU_HWPT_INVALIDATE, arg);
}

void hwpt_invalidate(std::uint32_t ioas, std::uint32_t hwpt, std::uint32_t device) {
  iommu_hwpt_vtd_s1_invalidate entry = {};
  iommu_hwpt_invalidate arg = {};
  probe::say(invalidate(arg, 99, 0), "INVALIDATE, no such object");
  probe::say(invalidate(arg, ioas, 0), "INVALIDATE an IOAS");
  probe::say(invalidate(arg, hwpt, 0), "INVALIDATE a paging domain");
  probe::say(invalidate(arg, device, 0), "INVALIDATE a device");
  probe::say(invalidate(arg, 99, 1), "INVALIDATE, an entry without an address");
  probe::say_value(arg.entry_num, "entries handled");
  arg.data_uptr = probe::address_of(&entry);
  probe::say(invalidate(arg, 99, 1), "INVALIDATE, an entry without a length");
  arg.entry_len = 4097;
  probe::say(invalidate(arg, 99, 1), "INVALIDATE, an entry larger than a page");
  arg.entry_len = 4096;
  probe::say(invalidate(arg, 99, 1), "INVALIDATE, an entry of a page, no such object");
  probe::say_value(arg.entry_num, "entries handled");
  probe::say(invalidate(arg, 99, 1U << 19), "INVALIDATE, 2^19 entries");
  probe::say(invalidate(arg, 99, (1U << 19) + 1), "INVALIDATE, one more");
  probe::say(invalidate(arg, hwpt, 1), "INVALIDATE a paging domain, an entry");
  arg.__reserved = 1;
  probe::say(invalidate(arg, 99, 1U << 20), "INVALIDATE, reserved word set");
  probe::say_value(arg.entry_num, "entries handled");
  void* read_only = mmap(nullptr, probe::kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(read_only, probe::kPage, PROT_READ | PROT_WRITE);
  static_cast<iommu_hwpt_invalidate*>(read_only)->size = sizeof(arg);
  mprotect(read_only, probe::kPage, PROT_READ);
  probe::say(ioctl(iommufd, IOMMU_HWPT_INVALIDATE, read_only),
             "INVALIDATE, nothing there, in read-only memory");
}

void dirty_pages(std::uint32_t ioas, std::uint32_t hwpt) {
  iommu_hwpt_set_dirty_tracking set = {sizeof(set), 2, 99, 0};
  probe::say(probe::call(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, set), "SET_DIRTY, unknown flag");
  set.flags = IOMMU_HWPT_DIRTY_TRACKING_ENABLE;
  probe::say(probe::call(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, set), "SET_DIRTY, no such domain");
  set.__reserved = 1;
  probe::say(probe::call(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, set),
             "SET_DIRTY, reserved word set");
  set.hwpt_id = ioas;
  probe::say(probe::call(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, set), "SET_DIRTY of an IOAS");
  set.hwpt_id = hwpt;
  probe::say(probe::call(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, set),
             "SET_DIRTY of a domain that tracks nothing");

  const auto get = [](const char* what, iommu_hwpt_get_dirty_bitmap arg) {
    arg.size = sizeof(arg);
    probe::say(probe::call(iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, arg), "GET_DIRTY, %s", what);
  };
  iommu_hwpt_get_dirty_bitmap arg = {};
  arg.hwpt_id = 99;
  arg.flags = 2;
  get("unknown flag", arg);
  arg.flags = 0;
  arg.__reserved = 1;
  get("reserved word set", arg);
  arg.__reserved = 0;
  get("no such domain", arg);
  arg.hwpt_id = ioas;
  get("an IOAS", arg);
  arg.hwpt_id = hwpt;
  get("no length", arg);
  arg.iova = ~0ULL;
  arg.length = 2;
  get("past the end", arg);
  arg.iova = 0x1800;
  arg.length = 0x800;
  arg.page_size = 0x800;
  get("not aligned", arg);
  arg.iova = 0x1000;
  arg.length = 0x1001;
  get("length not aligned", arg);
  arg.length = 0x1000;
  arg.page_size = 0;
  get("no page size", arg);
  arg.page_size = 0x2000;
  get("a page size that is too large", arg);
  arg.page_size = 0x1000;
  get("a domain that tracks nothing", arg);
}

void queues(std::uint32_t ioas) {
  const auto events = [](const char* what, iommu_veventq_alloc arg) {
    arg.size = sizeof(arg);
    probe::say(probe::call(iommufd, IOMMU_VEVENTQ_ALLOC, arg), "VEVENTQ, %s", what);
  };
  iommu_veventq_alloc event = {};
  event.viommu_id = 99;
  event.veventq_depth = 1;
  events("type 0", event);
  event.type = 1;
  events("no such vIOMMU", event);
  event.viommu_id = ioas;
  events("an IOAS", event);
  event.flags = 1;
  events("a flag", event);
  event.flags = 0;
  event.__reserved = 1;
  events("reserved word set", event);
  event.__reserved = 0;
  event.veventq_depth = 0;
  events("no depth", event);
  event.veventq_depth = 1U << 19;
  events("depth 2^19", event);
  event.veventq_depth = (1U << 19) + 1;
  events("one more", event);

  const auto commands = [](const char* what, iommu_hw_queue_alloc arg) {
    arg.size = sizeof(arg);
    probe::say(probe::call(iommufd, IOMMU_HW_QUEUE_ALLOC, arg), "HW_QUEUE, %s", what);
  };
  iommu_hw_queue_alloc command = {};
  command.viommu_id = 99;
  commands("type 0", command);
  command.type = 1;
  commands("no length", command);
  command.length = 4096;
  commands("no such vIOMMU", command);
  command.viommu_id = ioas;
  commands("an IOAS", command);
  command.nesting_parent_iova = ~0ULL - 4094;
  commands("past the end", command);
  command.nesting_parent_iova = ~0ULL - 4095;
  commands("up to the end", command);
  command.flags = 1;
  commands("a flag", command);

  iommu_fault_alloc fault = {};
  fault.size = sizeof(fault);
  fault.flags = 1;
  probe::say(probe::call(iommufd, IOMMU_FAULT_QUEUE_ALLOC, fault), "FAULT_QUEUE, a flag");
}

}  // namespace

int main() {
  const probe::BoundDevice bound = probe::open_bound();
  iommufd = bound.iommufd;
  for (const Known& known : kCalls) {
    probe::say(ioctl(iommufd, known.request, probe::nowhere()), "%s nowhere", known.name);
    probe::say(call(known, known.min_size - 1, 0), "%s, a byte too small", known.name);
    probe::say(call(known, known.size + 8, known.size + 7), "%s, unknown byte set", known.name);
    if (!known.answers_zeros) continue;
    probe::say(call(known, known.min_size, 0), "%s, the smallest", known.name);
    probe::say(call(known, known.size, 0), "%s, its size", known.name);
    probe::say(call(known, known.size + 8, 0), "%s, larger and zero", known.name);
  }
  const std::uint32_t ioas = probe::alloc_ioas(iommufd);
  iommu_hwpt_alloc alloc = {};
  alloc.size = sizeof(alloc);
  alloc.dev_id = bound.devid;
  alloc.pt_id = ioas;
  if (probe::call(iommufd, IOMMU_HWPT_ALLOC, alloc) != 0) probe::give_up("IOMMU_HWPT_ALLOC");
  hwpt_invalidate(ioas, alloc.out_hwpt_id, bound.devid);
  dirty_pages(ioas, alloc.out_hwpt_id);
  queues(ioas);
}
