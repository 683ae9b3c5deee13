#include "explore/scenario/pair_calls.h"

#include <linux/falloc.h>

#include <string>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

constexpr std::uint64_t kMappedIova = 0x10'0000, kFreeIova = 0x20'0000;
constexpr Gpa kMemory{0x10'0000}, kPrivateMemory{0x20'0000}, kFreeGpa{0x30'0000};
constexpr std::uint32_t kMemorySlot = 1, kPrivateSlot = 2, kFreeSlot = 3;
constexpr std::uint64_t kBarOfMemory = std::uint64_t{2} << vfio::kRegionShift;
constexpr std::uint64_t kOtherVirtualId = 0x18;

template <class T>
T with_size() {
  T arg{};
  arg.size = sizeof(arg);
  return arg;
}

// --- iommufd ---

Result<std::uint32_t> make_ioas(Vmm& vmm) {
  auto arg = with_size<abi::iommu_ioas_alloc>();
  TEEIO_TRY(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_ALLOC, arg));
  return arg.out_ioas_id;
}

Result<void> map_at(Pair& pair, std::uint64_t iova) {
  auto arg = with_size<abi::iommu_ioas_map>();
  arg.flags =
      abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE | abi::IOMMU_IOAS_MAP_WRITEABLE;
  arg.ioas_id = pair.vmm.ioas_id;
  arg.user_va = pair.memory;
  arg.length = kPageSize;
  arg.iova = iova;
  TEEIO_TRY(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_MAP, arg));
  return {};
}

void unmap_at(Vmm& vmm, std::uint64_t iova) {
  auto arg = with_size<abi::iommu_ioas_unmap>();
  arg.ioas_id = vmm.ioas_id;
  arg.iova = iova;
  arg.length = kPageSize;
  (void)vmm.ioctl(vmm.iommufd, IOMMU_IOAS_UNMAP, arg);
}

void copy_mapping(Pair& pair) {
  auto arg = with_size<abi::iommu_ioas_copy>();
  arg.flags = abi::IOMMU_IOAS_MAP_READABLE;
  arg.dst_ioas_id = pair.other_ioas;
  arg.src_ioas_id = pair.vmm.ioas_id;
  arg.length = kPageSize;
  arg.src_iova = kMappedIova;
  (void)pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_COPY, arg);
}

void alloc_ioas(Pair& pair) {
  if (const auto id = make_ioas(pair.vmm)) (void)pair.vmm.destroy(*id);
}

void alloc_hwpt(Pair& pair) {
  auto arg = with_size<abi::iommu_hwpt_alloc>();
  arg.dev_id = pair.vmm.dev_id;
  arg.pt_id = pair.other_ioas;
  if (pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_HWPT_ALLOC, arg))
    (void)pair.vmm.destroy(arg.out_hwpt_id);
}

void alloc_viommu(Pair& pair) {
  auto arg = with_size<abi::iommu_viommu_alloc>();
  arg.type = IOMMU_VIOMMU_TYPE_TSM;
  arg.dev_id = pair.vmm.dev_id;
  arg.hwpt_id = pair.vmm.hwpt_id;
  if (pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_VIOMMU_ALLOC, arg))
    (void)pair.vmm.destroy(arg.out_viommu_id);
}

void ask_hw_info(Pair& pair) {
  auto arg = with_size<abi::iommu_hw_info>();
  arg.dev_id = pair.vmm.dev_id;
  (void)pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_GET_HW_INFO, arg);
}

void ask_ranges(Pair& pair) {
  auto arg = with_size<abi::iommu_ioas_iova_ranges>();
  arg.ioas_id = pair.vmm.ioas_id;
  (void)pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_IOVA_RANGES, arg);
}

/// Of the IOAS to which HWPTs are made and mappings copied.
void allow_iovas(Pair& pair) {
  constexpr std::uint64_t kLast = 0xffff'ffff;
  abi::iommu_iova_range all{};
  all.last = kLast;
  auto arg = with_size<abi::iommu_ioas_allow_iovas>();
  arg.ioas_id = pair.other_ioas;
  arg.num_iovas = 1;
  arg.allowed_iovas = pair.vmm.store(bytes_of(all));
  (void)pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_ALLOW_IOVAS, arg);
}

void forbid_huge_pages(Pair& pair) {
  auto arg = with_size<abi::iommu_option>();
  arg.option_id = abi::IOMMU_OPTION_HUGE_PAGES;
  arg.op = abi::IOMMU_OPTION_OP_SET;
  arg.object_id = pair.other_ioas;
  (void)pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_OPTION, arg);
}

void name_compat_ioas(Pair& pair) {
  auto arg = with_size<abi::iommu_vfio_ioas>();
  arg.ioas_id = pair.other_ioas;
  arg.op = abi::IOMMU_VFIO_IOAS_SET;
  (void)pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_VFIO_IOAS, arg);
}

void alloc_vdevice_again(Pair& pair) {
  (void)pair.vmm.destroy(pair.vmm.vdevice_id);
  auto arg = with_size<abi::iommu_vdevice_alloc>();
  arg.viommu_id = pair.vmm.viommu_id;
  arg.dev_id = pair.vmm.dev_id;
  arg.virt_id = kOtherVirtualId;
  (void)pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_VDEVICE_ALLOC, arg);
}

// --- VFIO ---

Result<void> attach_to(Vmm& vmm, std::uint32_t id) {
  abi::vfio_device_attach_iommufd_pt arg{.argsz = sizeof(arg), .flags = 0, .pt_id = id, .pasid = 0};
  TEEIO_TRY(vmm.ioctl(vmm.vfio, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg));
  return {};
}

void detach(Vmm& vmm) {
  abi::vfio_device_detach_iommufd_pt arg{.argsz = sizeof(arg), .flags = 0, .pasid = 0};
  (void)vmm.ioctl(vmm.vfio, VFIO_DEVICE_DETACH_IOMMUFD_PT, arg);
}

struct TwoVectors {
  std::uint32_t argsz, flags, index, start, count;
  std::int32_t data[2];
};
constexpr std::uint32_t kMsixIndex = 2;

Result<void> connect_vectors(Pair& pair) {
  TwoVectors set{sizeof(set), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
                 kMsixIndex,  0,
                 2,           {pair.eventfd, -1}};
  TEEIO_TRY(pair.vmm.ioctl(pair.vmm.vfio, VFIO_DEVICE_SET_IRQS, set));
  return {};
}

void switch_vectors(Pair& pair) {
  TwoVectors off{sizeof(off) - sizeof(off.data),
                 VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
                 kMsixIndex,
                 0,
                 0,
                 {}};
  (void)pair.vmm.ioctl(pair.vmm.vfio, VFIO_DEVICE_SET_IRQS, off);
  (void)connect_vectors(pair);
}

template <class Info>
void ask_vfio(Pair& pair, std::uint32_t command) {
  Info info{};
  info.argsz = sizeof(info);
  (void)pair.vmm.ioctl(pair.vmm.vfio, command, info);
}

void write_bar(Pair& pair) {
  const std::uint32_t value = 1;
  (void)pair.vmm.pwrite(pair.vmm.vfio, kBarOfMemory, bytes_of(value));
}

void export_bar(Pair& pair) {
  if (const auto fd = pair.vmm.export_bar(2, kPageSize)) (void)pair.vmm.close(*fd);
}

/// A second file of the device's node cannot have it too.
void open_again(Pair& pair) {
  const auto fd = pair.vmm.open(kPf);
  if (!fd) return;
  abi::vfio_device_bind_iommufd arg{};
  arg.argsz = sizeof(arg);
  arg.iommufd = pair.vmm.iommufd;
  (void)pair.vmm.ioctl(*fd, VFIO_DEVICE_BIND_IOMMUFD, arg);
  (void)pair.vmm.close(*fd);
}

// --- KVM ---

void associate_again(Pair& pair) {
  (void)pair.vmm.associate(KVM_DEV_VFIO_FILE_DEL);
  (void)pair.vmm.associate(KVM_DEV_VFIO_FILE_ADD);
}

void second_vcpu(Pair& pair) {
  const auto fd = pair.vmm.ioctl(pair.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{1});
  if (fd) (void)pair.vmm.close(static_cast<int>(*fd));
}

Result<void> memory_slot(Pair& pair, std::uint32_t slot, Gpa gpa, std::uint64_t size = kPageSize) {
  abi::kvm_userspace_memory_region2 region{};
  region.slot = slot;
  region.guest_phys_addr = raw(gpa);
  region.memory_size = size;
  region.userspace_addr = pair.memory;
  return pair.vmm.set_region(region);
}

Result<void> private_slot(Pair& pair) {
  abi::kvm_userspace_memory_region2 region{};
  region.slot = kPrivateSlot;
  region.flags = KVM_MEM_GUEST_MEMFD;
  region.guest_phys_addr = raw(kPrivateMemory);
  region.memory_size = kPageSize;
  region.userspace_addr = pair.memory;
  region.guest_memfd = static_cast<std::uint32_t>(pair.gmem);
  return pair.vmm.set_region(region);
}

Result<int> make_gmem(Vmm& vmm) {
  abi::kvm_create_guest_memfd create{};
  create.size = kPageSize;
  TEEIO_ASSIGN(const std::int64_t fd, vmm.ioctl(vmm.vm, KVM_CREATE_GUEST_MEMFD, create));
  return static_cast<int>(fd);
}

void punch(Pair& pair) {
  mm::PlainCaller caller(pair.vmm.process());
  if (const auto file = pair.vmm.file(pair.gmem))
    (void)pair.vmm.machine().system_calls().fallocate(
        caller, **file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageSize);
}

void other_vm(Pair& pair) {
  const auto fd = pair.vmm.ioctl(pair.vmm.kvm, KVM_CREATE_VM, kOrdinaryVm);
  if (fd) (void)pair.vmm.close(static_cast<int>(*fd));
}

/// There and back.
void convert(Vmm& vmm, Gpa page, bool to_private) {
  (void)vmm.set_private(page, kPageSize, to_private);
  (void)vmm.set_private(page, kPageSize, !to_private);
}

std::vector<PairCall> calls_of_iommufd() {
  return {
      {"IOAS_ALLOC", alloc_ioas},
      {"IOAS_MAP", [](Pair& p) { (void)map_at(p, kFreeIova); }},
      {"IOAS_UNMAP", [](Pair& p) { unmap_at(p.vmm, kMappedIova); }},
      {"IOAS_COPY", copy_mapping},
      {"HWPT_ALLOC", alloc_hwpt},
      {"VIOMMU_ALLOC", alloc_viommu},
      {"VDEVICE_ALLOC", alloc_vdevice_again},
      {"GET_HW_INFO", ask_hw_info},
      {"IOVA_RANGES", ask_ranges},
      {"ALLOW_IOVAS", allow_iovas},
      {"OPTION", forbid_huge_pages},
      {"VFIO_IOAS", name_compat_ioas},
      {"DESTROY_IOAS", [](Pair& p) { (void)p.vmm.destroy(p.other_ioas); }},
      {"DESTROY_HWPT", [](Pair& p) { (void)p.vmm.destroy(p.vmm.hwpt_id); }},
      {"DESTROY_VIOMMU", [](Pair& p) { (void)p.vmm.destroy(p.vmm.viommu_id); }},
      {"BIND", [](Pair& p) { (void)p.stage.bind(p.vmm); }},
      {"UNBIND", [](Pair& p) { (void)p.stage.unbind(p.vmm); }},
      {"GUEST_REQUEST",
       [](Pair& p) { (void)p.stage.ask_state(p.vmm, p.stage.vendor().guest_asks); }},
  };
}

std::vector<PairCall> calls_of_vfio() {
  return {
      {"ATTACH", [](Pair& p) { (void)attach_to(p.vmm, p.other_ioas); }},
      {"DETACH", [](Pair& p) { detach(p.vmm); }},
      {"SET_IRQS", switch_vectors},
      {"BAR_READ", [](Pair& p) { (void)works_as_shared(p.vmm); }},
      {"BAR_WRITE", write_bar},
      {"BAR_MMAP", [](Pair& p) { (void)p.vmm.mmap(p.vmm.vfio, kBarOfMemory, kPageSize); }},
      {"CONFIG_READ", [](Pair& p) { (void)read_config(p.vmm, kCommandRegister); }},
      {"DMA_BUF", export_bar},
      {"SECOND_OPEN", open_again},
      {"GET_INFO", [](Pair& p) { ask_vfio<abi::vfio_device_info>(p, VFIO_DEVICE_GET_INFO); }},
      {"GET_REGION_INFO",
       [](Pair& p) { ask_vfio<abi::vfio_region_info>(p, VFIO_DEVICE_GET_REGION_INFO); }},
      {"HOT_RESET_INFO",
       [](Pair& p) {
         ask_vfio<abi::vfio_pci_hot_reset_info>(p, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO);
       }},
  };
}

std::vector<PairCall> calls_of_kvm() {
  return {
      {"FILE_DEL", associate_again},
      {"CREATE_VM", other_vm},
      {"CREATE_VCPU", second_vcpu},
      {"CLOSE_VCPU", [](Pair& p) { (void)p.vmm.close(p.vmm.vcpu); }},
      {"ADD_MEMSLOT", [](Pair& p) { (void)memory_slot(p, kFreeSlot, kFreeGpa); }},
      {"DELETE_MEMSLOT", [](Pair& p) { (void)memory_slot(p, kMemorySlot, kMemory, 0); }},
      {"MOVE_MEMSLOT", [](Pair& p) { (void)memory_slot(p, kMemorySlot, kFreeGpa); }},
      {.name = "DELETE_MMIO_MEMSLOT",
       .act = [](Pair& p) { (void)p.vmm.set_mmio_slot(Vmm::kMmioSlot, 0); },
       .takes_mmio = true},
      {.name = "TO_SHARED", .act = [](Pair& p) { convert(p.vmm, kPrivateMemory, false); }},
      {.name = "MMIO_TO_SHARED",
       .act = [](Pair& p) { convert(p.vmm, kMmioGpa, false); },
       .takes_mmio = true},
      {.name = "TO_PRIVATE", .act = [](Pair& p) { convert(p.vmm, kMemory, true); }},
      {"FAULT", [](Pair& p) { (void)p.vmm.pre_fault(kMemory); }},
      {.name = "FAULT_PRIVATE",
       .act = [](Pair& p) { (void)p.vmm.pre_fault(kPrivateMemory); },
       .kills_vm = true},
      {.name = "FAULT_MMIO",
       .act = [](Pair& p) { (void)p.vmm.pre_fault(kMmioGpa); },
       .kills_vm = true},
      {"PUNCH_HOLE", punch},
      {"RUN", [](Pair& p) { (void)p.vmm.ioctl(p.vmm.vcpu, KVM_RUN, std::uint64_t{0}); }},
      {"CLOSE_GUEST_MEMFD", [](Pair& p) { (void)p.vmm.close(p.gmem); }},
      {"CREATE_GUEST_MEMFD",
       [](Pair& p) {
         if (const auto fd = make_gmem(p.vmm)) (void)p.vmm.close(*fd);
       }},
  };
}

void write_card(Pair& pair, std::string_view attribute, std::string_view text) {
  (void)pair.stage.root().echo(text, std::string(kCard) + '/' + std::string(attribute));
}

std::vector<PairCall> calls_of_root() {
  return {
      {"connect", [](Pair& p) { (void)connect(p.stage.root()); }},
      {"reset-method", [](Pair& p) { write_card(p, "reset_method", "flr\n"); }},
      {"driver-override", [](Pair& p) { write_card(p, "driver_override", "vfio-pci\n"); }},
      {"sriov", [](Pair& p) { write_card(p, "sriov_numvfs", "0\n"); }},
      // It would come back, and vfio-pci does not look for it.
      {.name = "rescan",
       .act = [](Pair& p) { (void)p.stage.root().echo("1\n", "/sys/bus/pci/rescan"); },
       .not_with = "device-removal"},
      {"read-tsm", [](Pair& p) { (void)p.stage.root().cat(std::string(kCard) + "/tsm/connect"); }},
  };
}

}  // namespace

Pair::Pair(Stage& on, PairState state)
    : stage(on), vmm(state == PairState::kBound ? on.with_mmio() : on.ready()) {
  if (state == PairState::kReady) must(stage.make_runnable(vmm));
  memory = vmm.memory().map(kPageSize);
  const auto second = make_ioas(vmm);
  TEEIO_CHECK(second.has_value(), "a second IOAS can be made");
  other_ioas = *second;
  must(map_at(*this, kMappedIova));
  must(attach_to(vmm, vmm.ioas_id));
  const auto made = make_gmem(vmm);
  TEEIO_CHECK(made.has_value(), "a guest_memfd can be made");
  gmem = *made;
  must(memory_slot(*this, kMemorySlot, kMemory));
  must(private_slot(*this));
  must(vmm.set_private(kPrivateMemory, kPageSize));
  (void)vmm.pre_fault(kMemory);
  // The monitor gives a realm in a scenario no memory of its own.
  if (stage.vendor().tsm != machine::TsmKind::kCca) (void)vmm.pre_fault(kPrivateMemory);
  const auto event = vmm.install(
      object::Ref<object::File>(object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd)));
  TEEIO_CHECK(event.has_value(), "a program can have an eventfd");
  eventfd = *event;
  if (state == PairState::kReady) must(connect_vectors(*this));
}

const std::vector<PairCall>& pair_calls() {
  static const std::vector<PairCall> kCalls = [] {
    std::vector<PairCall> all;
    for (const auto& some : {calls_of_iommufd(), calls_of_vfio(), calls_of_kvm(), calls_of_root()})
      all.insert(all.end(), some.begin(), some.end());
    for (const Opponent& opponent : opponents()) {
      PairCall call{.name = opponent.name,
                    .act = [&opponent](Pair& p) { opponent.act(p.stage, p.vmm); }};
      if (opponent.prepare != nullptr)
        call.prepare = [&opponent](Pair& p) { opponent.prepare(p.stage, p.vmm); };
      all.push_back(std::move(call));
    }
    return all;
  }();
  return kCalls;
}

}  // namespace teeio::explore
