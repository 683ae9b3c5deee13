#include "entry/dispatch.h"

#include <fmt/format.h>

#include <optional>

#include "entry/attribute_file.h"
#include "entry/describe.h"
#include "entry/support.h"
#include "host/iommufd/event_queue.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"
#include "host/vfio/awake.h"

namespace teeio::entry {
namespace {

using object::FileKind;
using object::Lane;

Lane lane_of(FileKind kind) {
  switch (kind) {
    case FileKind::kIommu:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
      return Lane::kIommufd;
    case FileKind::kVfioDevice:
    case FileKind::kVfioGroup:
    case FileKind::kVfioContainer:
    case FileKind::kDmaBuf:
      return Lane::kVfio;
    case FileKind::kKvm:
    case FileKind::kKvmVm:
    case FileKind::kKvmVcpu:
    case FileKind::kKvmVfioDevice:
    case FileKind::kGuestMemfd:
      return Lane::kKvm;
    case FileKind::kAttribute:
    case FileKind::kVendorNode:
    case FileKind::kForeign:
      return Lane::kHostTsm;
  }
  return Lane::kHostTsm;
}

/// What comes before the number is even looked at. Errors: EINVAL on a VFIO file
/// before BIND_IOMMUFD; EIO on a VM of another process or a dead one.
Result<void> precheck(mm::Caller& caller, object::File& file, const Row* row) {
  const bool always = row != nullptr && row->when == Row::When::kAlways;
  switch (file.kind()) {
    case FileKind::kVfioDevice:
      if (static_cast<vfio::DeviceFile&>(file).access_granted() || always) return {};
      return fail(Errno::kInval, "the device is not bound to an iommufd yet");
    case FileKind::kVendorNode:
      // sev_ioctl() of Linux drivers/crypto/ccp/sev-dev.c.
      if (row == nullptr) return fail(Errno::kInval, "the device has no such call");
      return {};
    case FileKind::kVfioContainer:
      // vfio_fops_unl_ioctl(): all but three calls are the IOMMU's.
      if (always || static_cast<vfio::ContainerFile&>(file).container().has_iommu()) return {};
      return fail(Errno::kInval, "the container has no IOMMU yet");
    case FileKind::kKvmVm:
      static_cast<kvm::VmFile&>(file).vm().irq_fds().poll();
      return static_cast<kvm::VmFile&>(file).vm().check_usable(caller.mm_id());
    case FileKind::kKvmVcpu:
      static_cast<kvm::VcpuFile&>(file).vcpu().vm().irq_fds().poll();
      return static_cast<kvm::VcpuFile&>(file).vcpu().vm().check_usable(caller.mm_id());
    case FileKind::kKvmVfioDevice:
      return static_cast<kvm::VfioDevice&>(file).vm().check_usable(caller.mm_id());
    case FileKind::kIommu:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
    case FileKind::kVfioGroup:
    case FileKind::kKvm:
    case FileKind::kGuestMemfd:
    case FileKind::kDmaBuf:
    case FileKind::kAttribute:
    case FileKind::kForeign:
      return {};
  }
  return {};
}

bool is_event_queue(const object::File& file) {
  return file.kind() == FileKind::kIommuFaults || file.kind() == FileKind::kIommuEvents;
}

std::optional<Bdf> function_of(object::File& file) {
  if (file.kind() != FileKind::kVfioDevice) return std::nullopt;
  return static_cast<vfio::DeviceFile&>(file).device().bdf();
}

object::Origin origin_of(mm::Caller& caller, std::string_view call) {
  // run/ knows under which number the program called.
  const std::int32_t fd = object::OriginScope::current().fd;
  return {.pid = caller.pid(), .tid = caller.tid(), .fd = fd, .call = call};
}

/// pread(2) or pwrite(2) of a VFIO device; `access` gets the device, the region
/// and the offset in it.
template <class Access>
Result<std::size_t> access_region(object::Trace& trace, vfio::Device& device, std::string_view name,
                                  std::uint64_t offset, std::size_t size, Access access) {
  auto arrow = trace.call(
      Lane::kVmm, Lane::kVfio, name,
      {.detail = fmt::format("offset={:#x} size={}", offset, size), .function = device.bdf()});
  auto done = access(static_cast<std::uint32_t>(offset >> vfio::kRegionShift),
                     offset & ((1ULL << vfio::kRegionShift) - 1));
  if (!done) arrow.refuse(done.error());
  return done;
}

}  // namespace

Result<std::int64_t> Dispatch::ioctl(mm::Caller& caller, object::File& file, std::uint32_t command,
                                     std::uint64_t argument) {
  const object::DelayedPuts puts;
  const Row* row = find_row(file.kind(), host_.profile, command);
  std::string_view name = row != nullptr ? row->name : linux_name(file.kind(), command);
  if (name.empty()) name = "unknown ioctl";
  const object::OriginScope origin(origin_of(caller, name));
  Call call{host_, caller, file, argument};
  auto arrow = host_.trace.call(Lane::kVmm, lane_of(file.kind()), name,
                                {.detail = {}, .function = function_of(file)});
  auto result = [&]() -> Result<std::int64_t> {
    TEEIO_TRY(precheck(caller, file, row));
    std::optional<vfio::Awake> awake;  // vfio_device_fops_unl_ioctl()
    if (file.kind() == FileKind::kVfioDevice && (row == nullptr || row->when != Row::When::kAlways))
      awake.emplace(static_cast<vfio::DeviceFile&>(file).device());
    if (row != nullptr && row->handler != nullptr) return row->handler(call);
    const bool known =
        !linux_name(file.kind(), command).empty() && abi::hidden_ioctl(host_.profile) != command;
    const std::string_view hint = profile_hint(file.kind(), host_.profile, command);
    return fail(refusal_of(file.kind(), known),
                hint.empty() ? "the call is outside of what this host models" : hint);
  }();
  if (!result) arrow.refuse(result.error());
  return result;
}

Result<std::size_t> Dispatch::read(mm::Caller& caller, object::File& file, std::uint64_t offset,
                                   std::span<std::byte> out) {
  const object::DelayedPuts puts;
  const object::OriginScope origin(origin_of(caller, "read"));
  if (file.kind() == FileKind::kAttribute)
    return static_cast<AttributeFile&>(file).read(offset, out);
  if (is_event_queue(file)) return static_cast<iommufd::EventQueueFile&>(file).read(out);
  if (file.kind() != FileKind::kVfioDevice) return fail(Errno::kInval, "the file cannot be read");
  TEEIO_TRY(precheck(caller, file, nullptr));
  vfio::Device& device = static_cast<vfio::DeviceFile&>(file).device();
  return access_region(
      host_.trace, device, "pread", offset, out.size(),
      [&](std::uint32_t region, std::uint64_t at) { return device.read(region, at, out); });
}

Result<std::size_t> Dispatch::write(mm::Caller& caller, object::File& file, std::uint64_t offset,
                                    ByteView in) {
  const object::DelayedPuts puts;
  const object::OriginScope origin(origin_of(caller, "write"));
  if (file.kind() == FileKind::kAttribute) {
    auto& attribute = static_cast<AttributeFile&>(file);
    auto arrow =
        host_.trace.call(Lane::kVmm, Lane::kHostTsm, "sysfs write", {.detail = attribute.path()});
    auto done = attribute.write(offset, in);
    if (!done) arrow.refuse(done.error());
    return done;
  }
  if (is_event_queue(file)) return static_cast<iommufd::EventQueueFile&>(file).write(in);
  if (file.kind() != FileKind::kVfioDevice)
    return fail(Errno::kInval, "the file cannot be written");
  TEEIO_TRY(precheck(caller, file, nullptr));
  vfio::Device& device = static_cast<vfio::DeviceFile&>(file).device();
  return access_region(
      host_.trace, device, "pwrite", offset, in.size(),
      [&](std::uint32_t region, std::uint64_t at) { return device.write(region, at, in); });
}

std::string Dispatch::ioctl_name(object::File& file, std::uint32_t command) {
  const Row* row = find_row(file.kind(), host_.profile, command);
  const std::string_view name = row != nullptr ? row->name : linux_name(file.kind(), command);
  return name.empty() ? fmt::format("{:#x}", command) : std::string(name);
}

std::string Dispatch::describe(mm::Caller& caller, object::File& file, std::uint32_t command,
                               std::uint64_t argument) {
  const Row* row = find_row(file.kind(), host_.profile, command);
  std::string_view name = row != nullptr ? row->name : linux_name(file.kind(), command);
  if (name.empty()) return fmt::format("{:#x}, {:#x}", command, argument);
  return fmt::format("{}, {}", name,
                     describe_argument(caller.memory(), row != nullptr ? row->argument : kPlain,
                                       argument, host_.profile));
}

}  // namespace teeio::entry
