// Calls of text scenarios about memory, interrupts, and what an administrator does.

#include <linux/falloc.h>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/proposed.h"
#include "abi/vfio.h"
#include "explore/scenario/text_calls.h"
#include "explore/scenario/with_size.h"
#include "host/mm/plain_caller.h"
#include "host/mm/plain_files.h"

namespace teeio::explore {
namespace {

using Kind = CallParameter::Kind;
using Answer = teeio::Result<std::int64_t>;

constexpr CallWord kHoleOrNot[] = {{"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
                                   {"allocate", FALLOC_FL_KEEP_SIZE}};

template <class T>
Answer answered(T&& result) {
  if (!result) return std::unexpected(result.error());
  return 0;
}

template <class T>
Answer call_with(const CallContext& c, std::uint32_t command, T& arg) {
  return answered(c.program.ioctl(c.target, command, arg));
}

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

/// Pages of the program's that nothing else uses.
std::uint64_t fresh_memory(const CallContext& c, std::uint64_t size) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 24U;
  return is_page_aligned(size) && size != 0 && size <= kMost ? c.program.memory().map(size) : 0;
}

/// mmap(2) of anonymous memory: its address, for what names it twice.
Answer memory(const CallContext& c) {
  const std::uint64_t address = fresh_memory(c, c.values[0]);
  if (address == 0) return fail(Errno::kInval, "memory is up to 16 MiB of whole pages");
  return static_cast<std::int64_t>(address);
}

// --- guest_memfd, and a VM's first pages ---

Answer create_gmem(const CallContext& c) {
  abi::kvm_create_guest_memfd arg{};
  arg.size = c.values[0];
  arg.flags = c.values[1];
  return c.program.ioctl(c.target, KVM_CREATE_GUEST_MEMFD, arg);
}
Answer allocate_or_punch(const CallContext& c) {
  TEEIO_ASSIGN(const auto file, c.program.file(c.target));
  mm::PlainCaller caller(c.program.process());
  return answered(c.program.machine().system_calls().fallocate(
      caller, *file, low(c.values[2]), static_cast<std::int64_t>(c.values[0]),
      static_cast<std::int64_t>(c.values[1])));
}
Answer memory_command(const CallContext& c, std::uint32_t id, std::uint64_t data) {
  abi::kvm_sev_cmd command{};
  command.id = id;
  command.data = data;
  return call_with(c, KVM_MEMORY_ENCRYPT_OP, command);
}
Answer init_mem_region(const CallContext& c) {
  abi::kvm_tdx_init_mem_region region{};
  region.gpa = c.values[0];
  region.nr_pages = 1;
  region.source_addr = fresh_memory(c, kPageSize);
  abi::kvm_tdx_cmd command{};
  command.id = abi::KVM_TDX_INIT_MEM_REGION;
  command.data = c.program.store(bytes_of(region));
  return call_with(c, KVM_MEMORY_ENCRYPT_OP, command);
}
Answer populate_realm(const CallContext& c) {
  abi::kvm_arm_rmi_populate region{};
  region.base = c.values[0];
  region.size = kPageSize;
  region.source_uaddr = fresh_memory(c, kPageSize);
  return call_with(c, KVM_ARM_RMI_POPULATE, region);
}
Answer sev_init(const CallContext& c) {
  return memory_command(c, abi::KVM_SEV_INIT2, c.program.store(bytes_of(abi::kvm_sev_init{})));
}
Answer snp_launch_start(const CallContext& c) {
  constexpr std::uint64_t kReservedOne = 1U << 17U;
  abi::kvm_sev_snp_launch_start start{};
  start.policy = kReservedOne;
  return memory_command(c, abi::KVM_SEV_SNP_LAUNCH_START, c.program.store(bytes_of(start)));
}
Answer snp_launch_update(const CallContext& c) {
  abi::kvm_sev_snp_launch_update update{};
  update.gfn_start = c.values[0] >> kPageShift;
  update.uaddr = fresh_memory(c, kPageSize);
  update.len = kPageSize;
  update.type = KVM_SEV_SNP_PAGE_TYPE_NORMAL;
  return memory_command(c, abi::KVM_SEV_SNP_LAUNCH_UPDATE, c.program.store(bytes_of(update)));
}
Answer snp_launch_finish(const CallContext& c) {
  return memory_command(c, abi::KVM_SEV_SNP_LAUNCH_FINISH,
                        c.program.store(bytes_of(abi::kvm_sev_snp_launch_finish{})));
}
Answer run_vcpu(const CallContext& c) {
  return answered(c.program.ioctl(c.target, KVM_RUN, std::uint64_t{0}));
}

// --- IOVAs ---

Answer ioas_map(const CallContext& c) {
  auto arg = with_size<abi::iommu_ioas_map>();
  arg.flags =
      abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE | abi::IOMMU_IOAS_MAP_WRITEABLE;
  arg.ioas_id = low(c.values[0]);
  arg.iova = c.values[1];
  arg.length = c.values[2];
  arg.user_va = fresh_memory(c, arg.length);
  return call_with(c, IOMMU_IOAS_MAP, arg);
}
Answer ioas_unmap(const CallContext& c) {
  auto arg = with_size<abi::iommu_ioas_unmap>();
  arg.ioas_id = low(c.values[0]);
  arg.iova = c.values[1];
  arg.length = c.values[2];
  return call_with(c, IOMMU_IOAS_UNMAP, arg);
}
Answer ioas_copy(const CallContext& c) {
  auto arg = with_size<abi::iommu_ioas_copy>();
  arg.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE;
  arg.dst_ioas_id = low(c.values[0]);
  arg.src_ioas_id = low(c.values[1]);
  arg.src_iova = arg.dst_iova = c.values[2];
  arg.length = c.values[3];
  return call_with(c, IOMMU_IOAS_COPY, arg);
}
/// Of a memfd or a dma-buf.
Answer ioas_map_file(const CallContext& c) {
  auto arg = with_size<abi::iommu_ioas_map_file>();
  arg.flags =
      abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE | abi::IOMMU_IOAS_MAP_WRITEABLE;
  arg.ioas_id = low(c.values[0]);
  arg.fd = static_cast<std::int32_t>(c.values[1]);
  arg.iova = c.values[2];
  arg.start = c.values[3];
  arg.length = c.values[4];
  return call_with(c, IOMMU_IOAS_MAP_FILE, arg);
}
Answer attach(const CallContext& c) {
  abi::vfio_device_attach_iommufd_pt arg{
      .argsz = sizeof(arg), .flags = 0, .pt_id = low(c.values[0]), .pasid = 0};
  return call_with(c, VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg);
}
Answer detach(const CallContext& c) {
  abi::vfio_device_detach_iommufd_pt arg{.argsz = sizeof(arg), .flags = 0, .pasid = 0};
  return call_with(c, VFIO_DEVICE_DETACH_IOMMUFD_PT, arg);
}

// --- Interrupts ---

struct OneVector {
  std::uint32_t argsz, flags, index, start, count;
  std::int32_t eventfd;
};

/// MSI-X vector 0 to an eventfd of its own, or all of them off.
Answer set_irqs(const CallContext& c) {
  constexpr std::uint32_t kMsixIndex = 2;
  OneVector set{sizeof(set), VFIO_IRQ_SET_ACTION_TRIGGER, kMsixIndex, 0, 0, 0};
  if (c.values[0] == 0) {
    set.argsz = sizeof(set) - sizeof(set.eventfd);
    set.flags |= VFIO_IRQ_SET_DATA_NONE;
    return call_with(c, VFIO_DEVICE_SET_IRQS, set);
  }
  TEEIO_ASSIGN(set.eventfd, c.program.install(object::Ref<object::File>(
                                object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd))));
  set.flags |= VFIO_IRQ_SET_DATA_EVENTFD;
  set.count = 1;
  return call_with(c, VFIO_DEVICE_SET_IRQS, set);
}

// --- The machine ---

Answer unload_tsm(const CallContext& c) {
  c.program.machine().remove_tsm();
  return 0;
}
Answer load_tsm(const CallContext& c) {
  c.program.machine().restore_tsm();
  return 0;
}
/// A line of the census: "TDI state of 0000:01:00.0" is "CONFIG_LOCKED".
Answer holds(const CallContext& c) {
  const auto census = c.program.machine().census();
  const auto at = census.find(c.texts[0]);
  if (at == census.end()) return fail(Errno::kNoEnt, "the machine has no such state");
  c.saw = at->second;
  if (at->second != c.texts[1]) return fail(Errno::kNoData, "the state is another one");
  return 0;
}

constexpr CallWord kOnOff[] = {{"on", 1}, {"off", 0}};
constexpr CallParameter kSize[] = {{.key = "size", .fallback = kPageSize}};
constexpr CallParameter kGmem[] = {{.key = "size", .fallback = kPageSize},
                                   {.key = "flags", .fallback = 0}};
constexpr CallParameter kFallocate[] = {
    {.key = "offset", .fallback = 0},
    {.key = "size", .fallback = kPageSize},
    {.key = "mode", .kind = Kind::kWord, .fallback = kHoleOrNot[0].value, .words = kHoleOrNot}};
constexpr CallParameter kGpa[] = {{.key = "gpa"}};
constexpr CallParameter kArea[] = {
    {.key = "ioas", .kind = Kind::kId}, {.key = "iova"}, {.key = "size", .fallback = kPageSize}};
constexpr CallParameter kCopy[] = {{.key = "to", .kind = Kind::kId},
                                   {.key = "from", .kind = Kind::kId},
                                   {.key = "iova"},
                                   {.key = "size", .fallback = kPageSize}};
constexpr CallParameter kFileArea[] = {{.key = "ioas", .kind = Kind::kId},
                                       {.key = "fd", .kind = Kind::kDescriptor},
                                       {.key = "iova"},
                                       {.key = "start", .fallback = 0},
                                       {.key = "size", .fallback = kPageSize}};
constexpr CallParameter kPt[] = {{.key = "pt", .kind = Kind::kId}};
constexpr CallParameter kVector[] = {{.key = "msix", .kind = Kind::kWord, .words = kOnOff}};

constexpr auto kNothing = CallRow::Result::kNothing;

constexpr CallRow kRows[] = {
    {"memory", false, 0, CallRow::Result::kId, kSize, memory},
    {"KVM_CREATE_GUEST_MEMFD", true, 0, CallRow::Result::kDescriptor, kGmem, create_gmem},
    {"fallocate", true, 0, kNothing, kFallocate, allocate_or_punch},
    {"KVM_TDX_INIT_MEM_REGION", true, 0, kNothing, kGpa, init_mem_region},
    {"KVM_ARM_RMI_POPULATE", true, 0, kNothing, kGpa, populate_realm},
    {"KVM_SEV_INIT2", true, 0, kNothing, {}, sev_init},
    {"KVM_SEV_SNP_LAUNCH_START", true, 0, kNothing, {}, snp_launch_start},
    {"KVM_SEV_SNP_LAUNCH_UPDATE", true, 0, kNothing, kGpa, snp_launch_update},
    {"KVM_SEV_SNP_LAUNCH_FINISH", true, 0, kNothing, {}, snp_launch_finish},
    {"KVM_RUN", true, 0, kNothing, {}, run_vcpu},
    {"IOMMU_IOAS_MAP", true, 0, kNothing, kArea, ioas_map},
    {"IOMMU_IOAS_MAP_FILE", true, 0, kNothing, kFileArea, ioas_map_file},
    {"IOMMU_IOAS_UNMAP", true, 0, kNothing, kArea, ioas_unmap},
    {"IOMMU_IOAS_COPY", true, 0, kNothing, kCopy, ioas_copy},
    {"VFIO_DEVICE_ATTACH_IOMMUFD_PT", true, 0, kNothing, kPt, attach},
    {"VFIO_DEVICE_DETACH_IOMMUFD_PT", true, 0, kNothing, {}, detach},
    {"VFIO_DEVICE_SET_IRQS", true, 0, kNothing, kVector, set_irqs},
    {"unload-tsm", false, 0, kNothing, {}, unload_tsm},
    {"load-tsm", false, 0, kNothing, {}, load_tsm},
    {.name = "holds", .on_descriptor = false, .texts = 2, .run = holds, .looks_at_state = true},
};

}  // namespace

std::span<const CallRow> memory_call_rows() { return kRows; }

}  // namespace teeio::explore
