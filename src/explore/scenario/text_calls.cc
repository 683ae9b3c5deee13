#include "explore/scenario/text_calls.h"

#include <fmt/format.h>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/proposed.h"
#include "abi/vfio.h"
#include "explore/scenario/vmm.h"
#include "explore/scenario/with_size.h"

namespace teeio::explore {
namespace {

using Kind = CallParameter::Kind;
using Answer = teeio::Result<std::int64_t>;

constexpr std::uint64_t kConfidential = ~std::uint64_t{0};
constexpr std::uint64_t kNoDescriptor = ~std::uint64_t{0} - 1;  // what was refused is -1
constexpr CallWord kVmTypes[] = {{"confidential", kConfidential},
                                 {"tdx", kTdxVm},
                                 {"realm", kRealmVm},
                                 {"ordinary", kOrdinaryVm}};
constexpr CallWord kFileAttributes[] = {{"FILE_ADD", KVM_DEV_VFIO_FILE_ADD},
                                        {"FILE_DEL", KVM_DEV_VFIO_FILE_DEL}};
constexpr CallWord kOperations[] = {{"bind", abi::IOMMU_VDEVICE_TSM_BIND},
                                    {"unbind", abi::IOMMU_VDEVICE_TSM_UNBIND}};
constexpr CallWord kStates[] = {{"unlocked", abi::TSM_TDI_UNLOCKED},
                                {"locked", abi::TSM_TDI_LOCKED},
                                {"run", abi::TSM_TDI_RUN}};
constexpr std::uint64_t kMost32 = 0xffff'ffff;
constexpr CallWord kYesNo[] = {{"yes", 1}, {"no", 0}};

template <class T>
Answer done(T&& result) {
  if (!result) return std::unexpected(result.error());
  return 0;
}

/// An ioctl whose answer is a member of its argument.
template <class T, class Member>
Answer answer_of(const CallContext& c, std::uint32_t command, T& arg, Member T::* member) {
  TEEIO_TRY(c.program.ioctl(c.target, command, arg));
  return static_cast<std::int64_t>(arg.*member);
}

template <class T>
Answer simple(const CallContext& c, std::uint32_t command, T& arg) {
  return done(c.program.ioctl(c.target, command, arg));
}

std::uint32_t u32(std::uint64_t value) { return static_cast<std::uint32_t>(value); }

Answer tdx_command(const CallContext& c, std::uint32_t id, std::uint64_t data) {
  abi::kvm_tdx_cmd command{};
  command.id = id;
  command.data = data;
  return simple(c, KVM_MEMORY_ENCRYPT_OP, command);
}

// --- Files ---

Answer open_path(const CallContext& c) {
  TEEIO_ASSIGN(const int fd, c.program.open(c.texts[0]));
  if (c.texts[0].starts_with("/dev/vfio/")) TEEIO_TRY(c.program.make_mappable(fd));
  return fd;
}
Answer write_path(const CallContext& c) {
  return done(c.program.echo(c.texts[1] + "\n", c.texts[0]));
}
Answer close_fd(const CallContext& c) { return done(c.program.close(c.target)); }
Answer dup_fd(const CallContext& c) {
  TEEIO_ASSIGN(const int fd, c.program.dup(c.target));
  return fd;
}
Answer map_fd(const CallContext& c) {
  return done(c.program.mmap(c.target, c.values[0], c.values[1]));
}
Answer read_fd(const CallContext& c) {
  std::uint32_t value = 0;
  return done(c.program.pread(c.target, c.values[0], writable_bytes_of(value)));
}
/// A register, or what a program else reads, is expected to have a value.
Answer reads(const CallContext& c) {
  std::uint32_t value = 0;
  TEEIO_TRY(c.program.pread(c.target, c.values[0], writable_bytes_of(value).first(c.values[2])));
  c.saw = fmt::format("0x{:x}", value);
  if (value != c.values[1]) return fail(Errno::kNoData, "it reads as something else");
  return 0;
}
Answer write_fd(const CallContext& c) {
  const std::uint32_t value = u32(c.values[1]);
  return done(c.program.pwrite(c.target, c.values[0], bytes_of(value).first(c.values[2])));
}
/// Of what the run does itself: exit, kill, meet.
Answer no_call(const CallContext&) { return 0; }

// --- KVM ---

Answer create_vm(const CallContext& c) {
  const std::uint64_t type = c.values[0] == kConfidential ? c.vendor.vm_type : c.values[0];
  return c.program.ioctl(c.target, KVM_CREATE_VM, type);
}
Answer create_vcpu(const CallContext& c) {
  TEEIO_ASSIGN(const std::int64_t fd, c.program.ioctl(c.target, KVM_CREATE_VCPU, std::uint64_t{0}));
  TEEIO_TRY(c.program.make_mappable(static_cast<int>(fd)));
  return fd;
}
Answer create_vfio_device(const CallContext& c) {
  abi::kvm_create_device arg{};
  arg.type = abi::KVM_DEV_TYPE_VFIO;
  return answer_of(c, KVM_CREATE_DEVICE, arg, &abi::kvm_create_device::fd);
}
Answer set_device_attr(const CallContext& c) {
  const auto fd = static_cast<std::int32_t>(c.values[1]);
  abi::kvm_device_attr arg{};
  arg.group = KVM_DEV_VFIO_FILE;
  arg.attr = c.values[0];
  arg.addr = c.program.store(bytes_of(fd));
  return simple(c, KVM_SET_DEVICE_ATTR, arg);
}
Answer set_region(const CallContext& c) {
  abi::kvm_userspace_memory_region2 arg{};
  arg.slot = u32(c.values[0]);
  arg.guest_phys_addr = c.values[1];
  arg.memory_size = c.values[2];
  arg.flags = u32(c.values[6]);
  if (arg.memory_size == 0) return simple(c, KVM_SET_USER_MEMORY_REGION2, arg);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 24U;
  if (c.values[3] != kNoDescriptor) {
    arg.flags |= KVM_MEM_VFIO_DMABUF;
    arg.guest_memfd = u32(c.values[3]);
  } else if (c.values[5] != kNoDescriptor) {
    arg.userspace_addr = c.values[5];
  } else if (is_page_aligned(arg.memory_size) && arg.memory_size <= kMost) {
    arg.userspace_addr = c.program.memory().map(arg.memory_size);
  }
  if (c.values[4] != kNoDescriptor) {
    arg.flags |= KVM_MEM_GUEST_MEMFD;
    arg.guest_memfd = u32(c.values[4]);
  }
  return simple(c, KVM_SET_USER_MEMORY_REGION2, arg);
}
Answer set_attributes(const CallContext& c) {
  constexpr std::uint64_t kPrivate = 8;
  abi::kvm_memory_attributes arg{};
  arg.address = c.values[0];
  arg.size = c.values[1];
  arg.attributes = c.values[2] != 0 ? kPrivate : 0;
  return simple(c, KVM_SET_MEMORY_ATTRIBUTES, arg);
}
Answer pre_fault(const CallContext& c) {
  abi::kvm_pre_fault_memory arg{};
  arg.gpa = c.values[0];
  arg.size = c.values[1];
  return simple(c, KVM_PRE_FAULT_MEMORY, arg);
}
Answer tdx_init_vm(const CallContext& c) {
  abi::kvm_tdx_init_vm init{};
  constexpr std::uint64_t kX87AndSse = 3;
  init.xfam = kX87AndSse;
  return tdx_command(c, abi::KVM_TDX_INIT_VM, c.program.store(bytes_of(init)));
}
Answer tdx_init_vcpu(const CallContext& c) { return tdx_command(c, abi::KVM_TDX_INIT_VCPU, 0); }
Answer tdx_finalize(const CallContext& c) { return tdx_command(c, abi::KVM_TDX_FINALIZE_VM, 0); }

// --- VFIO ---

Answer bind_iommufd(const CallContext& c) {
  abi::vfio_device_bind_iommufd arg{};
  arg.argsz = sizeof(arg);
  arg.iommufd = static_cast<std::int32_t>(c.values[0]);
  return answer_of(c, VFIO_DEVICE_BIND_IOMMUFD, arg, &abi::vfio_device_bind_iommufd::out_devid);
}
Answer reset(const CallContext& c) {
  return done(c.program.ioctl(c.target, VFIO_DEVICE_RESET, std::uint64_t{0}));
}
Answer vfio_bind(const CallContext& c) {
  abi::vfio_pci_tsm_bind arg{
      .argsz = sizeof(arg), .flags = 0, .vdevice_id = u32(c.values[0]), .pad = 0};
  return simple(c, VFIO_DEVICE_TSM_BIND, arg);
}
Answer vfio_unbind(const CallContext& c) {
  abi::vfio_pci_tsm_unbind arg{.argsz = sizeof(arg), .flags = 0};
  return simple(c, VFIO_DEVICE_TSM_UNBIND, arg);
}
Answer export_bar(const CallContext& c) {
  // struct vfio_device_feature, vfio_device_feature_dma_buf, one range.
  struct {
    std::uint32_t argsz, flags;
    std::uint32_t region_index, open_flags, buf_flags, nr_ranges;
    std::uint64_t offset, length;
  } arg{sizeof(arg),
        VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
        u32(c.values[0]),
        O_RDWR | O_CLOEXEC,
        0,
        1,
        0,
        c.values[1]};
  return c.program.ioctl(c.target, VFIO_DEVICE_FEATURE, arg);
}

// --- iommufd ---

Answer ioas_alloc(const CallContext& c) {
  auto arg = with_size<abi::iommu_ioas_alloc>();
  return answer_of(c, IOMMU_IOAS_ALLOC, arg, &abi::iommu_ioas_alloc::out_ioas_id);
}
Answer hwpt_alloc(const CallContext& c) {
  auto arg = with_size<abi::iommu_hwpt_alloc>();
  arg.flags = c.values[2] != 0 ? abi::IOMMU_HWPT_ALLOC_NEST_PARENT : 0;
  arg.dev_id = u32(c.values[0]);
  arg.pt_id = u32(c.values[1]);
  return answer_of(c, IOMMU_HWPT_ALLOC, arg, &abi::iommu_hwpt_alloc::out_hwpt_id);
}
Answer viommu_alloc(const CallContext& c) {
  auto arg = with_size<abi::iommu_viommu_alloc>();
  arg.type = IOMMU_VIOMMU_TYPE_TSM;
  arg.dev_id = u32(c.values[0]);
  arg.hwpt_id = u32(c.values[1]);
  return answer_of(c, IOMMU_VIOMMU_ALLOC, arg, &abi::iommu_viommu_alloc::out_viommu_id);
}
Answer vdevice_alloc(const CallContext& c) {
  auto arg = with_size<abi::iommu_vdevice_alloc>();
  arg.viommu_id = u32(c.values[0]);
  arg.dev_id = u32(c.values[1]);
  arg.virt_id = c.values[2];
  return answer_of(c, IOMMU_VDEVICE_ALLOC, arg, &abi::iommu_vdevice_alloc::out_vdevice_id);
}
Answer destroy(const CallContext& c) {
  auto arg = with_size<abi::iommu_destroy>();
  arg.id = u32(c.values[0]);
  return simple(c, IOMMU_DESTROY, arg);
}
Answer tsm_op(const CallContext& c) {
  auto arg = with_size<abi::iommu_vdevice_tsm_op>();
  arg.vdevice_id = u32(c.values[0]);
  arg.type = u32(c.values[1]);
  return simple(c, IOMMU_VDEVICE_TSM_OP, arg);
}
Answer tsm_req(const CallContext& c) {
  const std::uint32_t state = u32(c.values[1]);
  auto arg = with_size<abi::iommu_vdevice_tsm_req>();
  arg.vdevice_id = u32(c.values[0]);
  arg.op = abi::TSM_REQ_SET_TDI_STATE;
  arg.tvm_arch = c.vendor.request_arch;
  arg.req_len = sizeof(state);
  arg.req_uptr = c.program.store(bytes_of(state));
  return simple(c, IOMMU_VDEVICE_TSM_REQ, arg);
}

constexpr CallParameter kMmap[] = {{.key = "offset"}, {.key = "size", .fallback = kPageSize}};
constexpr CallParameter kPread[] = {{.key = "offset"}};
constexpr CallWord kWidths[] = {{"1", 1}, {"2", 2}, {"4", 4}};
constexpr CallParameter kPwrite[] = {
    {.key = "offset"},
    {.key = "value", .bytes_by = "bytes"},
    {.key = "bytes", .kind = Kind::kWord, .fallback = 4, .words = kWidths}};
constexpr CallParameter kCreateVm[] = {
    {.key = "type", .kind = Kind::kWord, .fallback = kConfidential, .words = kVmTypes}};
constexpr CallParameter kDeviceAttr[] = {
    {.key = "attr", .kind = Kind::kWord, .words = kFileAttributes},
    {.key = "fd", .kind = Kind::kDescriptor}};
constexpr CallParameter kRegion[] = {
    {.key = "slot", .most = kMost32},
    {.key = "gpa"},
    {.key = "size"},
    {.key = "dmabuf", .kind = Kind::kDescriptor, .fallback = kNoDescriptor},
    {.key = "gmem", .kind = Kind::kDescriptor, .fallback = kNoDescriptor},
    {.key = "memory", .kind = Kind::kId, .fallback = kNoDescriptor},
    {.key = "flags", .fallback = 0, .most = kMost32}};
constexpr CallParameter kAttributes[] = {{.key = "gpa"},
                                         {.key = "size", .fallback = kPageSize},
                                         {.key = "private", .kind = Kind::kWord, .words = kYesNo}};
constexpr CallParameter kPreFault[] = {{.key = "gpa"}, {.key = "size", .fallback = kPageSize}};
constexpr CallParameter kBindIommufd[] = {{.key = "iommufd", .kind = Kind::kDescriptor}};
constexpr CallParameter kVdevice[] = {{.key = "vdevice", .kind = Kind::kId}};
constexpr CallParameter kExport[] = {{.key = "region", .most = kMost32},
                                     {.key = "size", .fallback = kPageSize}};
constexpr CallParameter kHwpt[] = {
    {.key = "dev", .kind = Kind::kId},
    {.key = "pt", .kind = Kind::kId},
    {.key = "nest_parent", .kind = Kind::kWord, .fallback = 1, .words = kYesNo}};
constexpr CallParameter kViommu[] = {{.key = "dev", .kind = Kind::kId},
                                     {.key = "hwpt", .kind = Kind::kId}};
constexpr CallParameter kVdeviceAlloc[] = {
    {.key = "viommu", .kind = Kind::kId}, {.key = "dev", .kind = Kind::kId}, {.key = "virt_id"}};
constexpr CallParameter kId[] = {{.key = "id", .kind = Kind::kId}};
constexpr CallParameter kOp[] = {{.key = "vdevice", .kind = Kind::kId},
                                 {.key = "op", .kind = Kind::kWord, .words = kOperations}};
constexpr CallParameter kReq[] = {{.key = "vdevice", .kind = Kind::kId},
                                  {.key = "state", .kind = Kind::kWord, .words = kStates}};

constexpr auto kFd = CallRow::Result::kDescriptor;
constexpr auto kObject = CallRow::Result::kId;
constexpr auto kNothing = CallRow::Result::kNothing;

constexpr CallRow kRows[] = {
    {"open", false, 1, kFd, {}, open_path},
    {"write", false, 2, kNothing, {}, write_path},
    {"close", true, 0, kNothing, {}, close_fd},
    {"dup", true, 0, kFd, {}, dup_fd},
    {"mmap", true, 0, kNothing, kMmap, map_fd},
    {"pread", true, 0, kNothing, kPread, read_fd},
    {"pwrite", true, 0, kNothing, kPwrite, write_fd},
    {"reads", true, 0, kNothing, kPwrite, reads},
    {"exit", false, 0, kNothing, {}, no_call, true},
    {.name = "kill", .on_descriptor = false, .texts = 1, .run = no_call, .kills = true},
    {.name = "meet", .on_descriptor = false, .texts = 1, .run = no_call, .meets = true},
    {"KVM_CREATE_VM", true, 0, kFd, kCreateVm, create_vm},
    {"KVM_CREATE_VCPU", true, 0, kFd, {}, create_vcpu},
    {"KVM_CREATE_DEVICE", true, 0, kFd, {}, create_vfio_device},
    {"KVM_SET_DEVICE_ATTR", true, 0, kNothing, kDeviceAttr, set_device_attr},
    {"KVM_SET_USER_MEMORY_REGION2", true, 0, kNothing, kRegion, set_region},
    {"KVM_SET_MEMORY_ATTRIBUTES", true, 0, kNothing, kAttributes, set_attributes},
    {"KVM_PRE_FAULT_MEMORY", true, 0, kNothing, kPreFault, pre_fault},
    {"KVM_TDX_INIT_VM", true, 0, kNothing, {}, tdx_init_vm},
    {"KVM_TDX_INIT_VCPU", true, 0, kNothing, {}, tdx_init_vcpu},
    {"KVM_TDX_FINALIZE_VM", true, 0, kNothing, {}, tdx_finalize},
    {"VFIO_DEVICE_BIND_IOMMUFD", true, 0, kObject, kBindIommufd, bind_iommufd},
    {"VFIO_DEVICE_RESET", true, 0, kNothing, {}, reset},
    {"VFIO_DEVICE_TSM_BIND", true, 0, kNothing, kVdevice, vfio_bind},
    {"VFIO_DEVICE_TSM_UNBIND", true, 0, kNothing, {}, vfio_unbind},
    {"VFIO_DEVICE_FEATURE_DMA_BUF", true, 0, kFd, kExport, export_bar},
    {"IOMMU_IOAS_ALLOC", true, 0, kObject, {}, ioas_alloc},
    {"IOMMU_HWPT_ALLOC", true, 0, kObject, kHwpt, hwpt_alloc},
    {"IOMMU_VIOMMU_ALLOC", true, 0, kObject, kViommu, viommu_alloc},
    {"IOMMU_VDEVICE_ALLOC", true, 0, kObject, kVdeviceAlloc, vdevice_alloc},
    {"IOMMU_DESTROY", true, 0, kNothing, kId, destroy},
    {"IOMMU_VDEVICE_TSM_OP", true, 0, kNothing, kOp, tsm_op},
    {"IOMMU_VDEVICE_TSM_REQ", true, 0, kNothing, kReq, tsm_req},
};

}  // namespace

std::span<const CallRow> call_rows() {
  static const std::vector<CallRow> kAll = [] {
    std::vector<CallRow> all(std::begin(kRows), std::end(kRows));
    for (const auto& rows : {memory_call_rows(), request_call_rows()})
      all.insert(all.end(), rows.begin(), rows.end());
    return all;
  }();
  return kAll;
}

}  // namespace teeio::explore
