#include "explore/scenario/pair_calls.h"

#include <linux/falloc.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/pair_parts.h"
#include "explore/scenario/with_size.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"

namespace teeio::explore {
namespace {

constexpr std::uint64_t kFreeIova = 0x20'0000;
constexpr Gpa kMemory{0x10'0000}, kPrivateMemory{0x20'0000}, kFreeGpa{0x30'0000};
constexpr std::uint32_t kMemorySlot = 1, kPrivateSlot = 2, kFreeSlot = 3;
constexpr std::uint64_t kOtherVirtualId = 0x18;
/// The opponents that reset the function, by themselves or as its last close.
constexpr std::string_view kResetting[] = {"vfio-close", "exit", "reset", "sysfs-reset"};

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

Result<void> copy_mapping(Pair& pair) {
  auto arg = with_size<abi::iommu_ioas_copy>();
  arg.flags = abi::IOMMU_IOAS_MAP_READABLE;
  arg.dst_ioas_id = pair.other_ioas;
  arg.src_ioas_id = pair.vmm.ioas_id;
  arg.length = kPageSize;
  arg.src_iova = kMappedIova;
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_COPY, arg));
}

Result<void> alloc_ioas(Pair& pair) {
  TEEIO_ASSIGN(const std::uint32_t id, make_ioas(pair.vmm));
  return pair.vmm.destroy(id);
}

Result<void> alloc_hwpt(Pair& pair) {
  auto arg = with_size<abi::iommu_hwpt_alloc>();
  arg.dev_id = pair.vmm.dev_id;
  arg.pt_id = pair.other_ioas;
  TEEIO_TRY(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_HWPT_ALLOC, arg));
  return pair.vmm.destroy(arg.out_hwpt_id);
}

Result<void> alloc_viommu(Pair& pair) {
  auto arg = with_size<abi::iommu_viommu_alloc>();
  arg.type = IOMMU_VIOMMU_TYPE_TSM;
  arg.dev_id = pair.vmm.dev_id;
  arg.hwpt_id = pair.vmm.hwpt_id;
  TEEIO_TRY(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_VIOMMU_ALLOC, arg));
  return pair.vmm.destroy(arg.out_viommu_id);
}

Result<void> ask_hw_info(Pair& pair) {
  auto arg = with_size<abi::iommu_hw_info>();
  arg.dev_id = pair.vmm.dev_id;
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_GET_HW_INFO, arg));
}

Result<void> ask_ranges(Pair& pair) {
  constexpr std::uint32_t kMost = 8;
  auto arg = with_size<abi::iommu_ioas_iova_ranges>();
  arg.ioas_id = pair.vmm.ioas_id;
  arg.num_iovas = kMost;
  arg.allowed_iovas = pair.vmm.store(Bytes(kMost * sizeof(abi::iommu_iova_range)));
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_IOVA_RANGES, arg));
}

/// Of the IOAS to which HWPTs are made and mappings copied.
Result<void> allow_iovas(Pair& pair) {
  constexpr std::uint64_t kLast = 0xffff'ffff;
  abi::iommu_iova_range all{};
  all.last = kLast;
  auto arg = with_size<abi::iommu_ioas_allow_iovas>();
  arg.ioas_id = pair.other_ioas;
  arg.num_iovas = 1;
  arg.allowed_iovas = pair.vmm.store(bytes_of(all));
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_IOAS_ALLOW_IOVAS, arg));
}

Result<void> forbid_huge_pages(Pair& pair) {
  auto arg = with_size<abi::iommu_option>();
  arg.option_id = abi::IOMMU_OPTION_HUGE_PAGES;
  arg.op = abi::IOMMU_OPTION_OP_SET;
  arg.object_id = pair.other_ioas;
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_OPTION, arg));
}

Result<void> name_compat_ioas(Pair& pair) {
  auto arg = with_size<abi::iommu_vfio_ioas>();
  arg.ioas_id = pair.other_ioas;
  arg.op = abi::IOMMU_VFIO_IOAS_SET;
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_VFIO_IOAS, arg));
}

Result<void> alloc_vdevice_again(Pair& pair) {
  (void)pair.vmm.destroy(pair.vmm.vdevice_id);
  auto arg = with_size<abi::iommu_vdevice_alloc>();
  arg.viommu_id = pair.vmm.viommu_id;
  arg.dev_id = pair.vmm.dev_id;
  arg.virt_id = kOtherVirtualId;
  return made(pair.vmm.ioctl(pair.vmm.iommufd, IOMMU_VDEVICE_ALLOC, arg));
}

/// With what keeps it, which a program destroys first: the vDEVICE, then the vIOMMU.
Result<void> destroy_up_to(Pair& pair, std::uint32_t id) {
  for (const std::uint32_t user : {pair.vmm.vdevice_id, pair.vmm.viommu_id}) {
    if (user == id) break;
    (void)pair.vmm.destroy(user);
  }
  return pair.vmm.destroy(id);
}

/// A TD's request is a guest's own, which its host carries; the others' hosts ask for them.
Result<void> ask_as_guest(Pair& pair) {
  const Vendor& vendor = pair.stage.vendor();
  if (vendor.tsm != machine::TsmKind::kTdx)
    return pair.stage.ask_state(pair.vmm, vendor.guest_asks);
  // A vCPU that runs keeps its VM, whoever exits.
  TEEIO_ASSIGN(const auto running, pair.vmm.file(pair.vmm.vm));
  return vendor.attest(pair.vmm, pair.stage.machine().config().cards.front().bdf);
}

// --- KVM ---

Result<void> associate_again(Pair& pair) {
  TEEIO_TRY(pair.vmm.associate(KVM_DEV_VFIO_FILE_DEL));
  return pair.vmm.associate(KVM_DEV_VFIO_FILE_ADD);
}

Result<void> second_vcpu(Pair& pair) {
  TEEIO_ASSIGN(const std::int64_t fd,
               pair.vmm.ioctl(pair.vmm.vm, KVM_CREATE_VCPU, std::uint64_t{1}));
  return pair.vmm.close(static_cast<int>(fd));
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

Result<void> punch(Pair& pair) {
  mm::PlainCaller caller(pair.vmm.process());
  TEEIO_ASSIGN(const auto file, pair.vmm.file(pair.gmem));
  return made(pair.vmm.machine().system_calls().fallocate(
      caller, *file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageSize));
}

Result<void> other_vm(Pair& pair) {
  TEEIO_ASSIGN(const std::int64_t fd, pair.vmm.ioctl(pair.vmm.kvm, KVM_CREATE_VM, kOrdinaryVm));
  return pair.vmm.close(static_cast<int>(fd));
}

/// There and back.
Result<void> convert(Vmm& vmm, Gpa page, bool to_private) {
  TEEIO_TRY(vmm.set_private(page, kPageSize, to_private));
  return vmm.set_private(page, kPageSize, !to_private);
}

std::vector<PairCall> calls_of_iommufd() {
  return {
      {"IOAS_ALLOC", alloc_ioas},
      {"IOAS_MAP", [](Pair& p) { return map_at(p, kFreeIova); }},
      {"IOAS_UNMAP", [](Pair& p) { return unmap_at(p.vmm, kMappedIova); }},
      {"IOAS_COPY", copy_mapping},
      {"HWPT_ALLOC", alloc_hwpt},
      {"VIOMMU_ALLOC", alloc_viommu},
      {"VDEVICE_ALLOC", alloc_vdevice_again},
      {"GET_HW_INFO", ask_hw_info},
      {"IOVA_RANGES", ask_ranges},
      {"ALLOW_IOVAS", allow_iovas},
      {"OPTION", forbid_huge_pages},
      {"VFIO_IOAS", name_compat_ioas},
      {"DESTROY_IOAS", [](Pair& p) { return p.vmm.destroy(p.other_ioas); }},
      {"DESTROY_HWPT", [](Pair& p) { return destroy_up_to(p, p.vmm.hwpt_id); }},
      {"DESTROY_VIOMMU", [](Pair& p) { return destroy_up_to(p, p.vmm.viommu_id); }},
      {"BIND", [](Pair& p) { return p.stage.bind(p.vmm); }},
      {"UNBIND", [](Pair& p) { return p.stage.unbind(p.vmm); }},
      {"GUEST_REQUEST", ask_as_guest},
  };
}

std::vector<PairCall> calls_of_kvm() {
  return {
      {"FILE_DEL", associate_again},
      {"CREATE_VM", other_vm},
      {"CREATE_VCPU", second_vcpu},
      {"CLOSE_VCPU", [](Pair& p) { return p.vmm.close(p.vmm.vcpu); }},
      {"ADD_MEMSLOT", [](Pair& p) { return memory_slot(p, kFreeSlot, kFreeGpa); }},
      {"DELETE_MEMSLOT", [](Pair& p) { return memory_slot(p, kMemorySlot, kMemory, 0); }},
      {"MOVE_MEMSLOT", [](Pair& p) { return memory_slot(p, kMemorySlot, kFreeGpa); }},
      {.name = "DELETE_MMIO_MEMSLOT",
       .act = [](Pair& p) { return p.vmm.set_mmio_slot(Vmm::kMmioSlot, 0); },
       .takes_mmio = true},
      {.name = "TO_SHARED", .act = [](Pair& p) { return convert(p.vmm, kPrivateMemory, false); }},
      {.name = "MMIO_TO_SHARED",
       .act = [](Pair& p) { return convert(p.vmm, kMmioGpa, false); },
       .takes_mmio = true},
      {.name = "TO_PRIVATE", .act = [](Pair& p) { return convert(p.vmm, kMemory, true); }},
      {"FAULT", [](Pair& p) { return p.vmm.pre_fault(kMemory); }},
      // A realm without code has no private RAM here (RealmVm::map_private()).
      {.name = "FAULT_PRIVATE",
       .act = [](Pair& p) { return p.vmm.pre_fault(kPrivateMemory); },
       .kills_vm = true,
       .never = {{machine::TsmKind::kCca}, "EIO"}},
      {.name = "FAULT_MMIO",
       .act = [](Pair& p) { return p.vmm.pre_fault(kMmioGpa); },
       .kills_vm = true},
      {"PUNCH_HOLE", punch},
      {.name = "RUN",
       .act = [](Pair& p) { return made(p.vmm.ioctl(p.vmm.vcpu, KVM_RUN, std::uint64_t{0})); },
       // A vCPU of these machines runs no code.
       .never = {{machine::TsmKind::kTdx, machine::TsmKind::kCca, machine::TsmKind::kSev},
                 "ENXIO"}},
      {"CLOSE_GUEST_MEMFD", [](Pair& p) { return p.vmm.close(p.gmem); }},
      {"CREATE_GUEST_MEMFD",
       [](Pair& p) {
         const auto fd = make_gmem(p.vmm);
         return fd ? p.vmm.close(*fd) : made(fd);
       }},
  };
}

Result<void> write_card(Pair& pair, std::string_view attribute, std::string_view text) {
  return made(pair.stage.root().echo(text, std::string(kCard) + '/' + std::string(attribute)));
}

std::vector<PairCall> calls_of_root() {
  return {
      // The card is connected: there and back.
      {.name = "connect",
       .act =
           [](Pair& p) {
             (void)disconnect(p.stage.root());
             return connect(p.stage.root());
           },
       .link = PairCall::Link::kConnects},
      {"reset-method", [](Pair& p) { return write_card(p, "reset_method", "flr\n"); }},
      {"driver-override", [](Pair& p) { return write_card(p, "driver_override", "vfio-pci\n"); }},
      {.name = "sriov",
       .act = [](Pair& p) { return write_card(p, "sriov_numvfs", "0\n"); },
       .prepare =
           [](Pair& p) {
             constexpr std::string_view kEnable = "/sys/module/vfio_pci/parameters/enable_sriov";
             TEEIO_CHECK(p.stage.root().echo("Y\n", kEnable).has_value(),
                         "enable_sriov cannot be written");
           },
       .follows_removal = true},
      // It would come back, and vfio-pci does not look for it.
      {.name = "rescan",
       .act = [](Pair& p) { return made(p.stage.root().echo("1\n", "/sys/bus/pci/rescan")); },
       .not_with = "device-removal"},
      {"read-tsm",
       [](Pair& p) { return made(p.stage.root().cat(std::string(kCard) + "/tsm/connect")); }},
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

Result<void> unmap_at(Vmm& vmm, std::uint64_t iova) {
  auto arg = with_size<abi::iommu_ioas_unmap>();
  arg.ioas_id = vmm.ioas_id;
  arg.iova = iova;
  arg.length = kPageSize;
  return made(vmm.ioctl(vmm.iommufd, IOMMU_IOAS_UNMAP, arg));
}

const std::vector<PairCall>& pair_calls() {
  static const std::vector<PairCall> kCalls = [] {
    std::vector<PairCall> all;
    for (const auto& some : {calls_of_iommufd(), pair_calls_of_vfio(), calls_of_kvm(),
                             pair_calls_of_few(), calls_of_root()})
      all.insert(all.end(), some.begin(), some.end());
    for (const Opponent& opponent : opponents()) {
      PairCall call{.name = opponent.name,
                    .act = [&opponent](Pair& p) { return opponent.act(p.stage, p.vmm); }};
      if (std::ranges::find(kResetting, opponent.name) != std::end(kResetting))
        call.link = PairCall::Link::kResets;
      call.removes = opponent.removes;
      call.follows_removal = opponent.follows_removal;
      if (opponent.prepare != nullptr)
        call.prepare = [&opponent](Pair& p) { opponent.prepare(p.stage, p.vmm); };
      all.push_back(std::move(call));
    }
    return all;
  }();
  return kCalls;
}

}  // namespace teeio::explore
