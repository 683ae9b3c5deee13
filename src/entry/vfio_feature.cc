#include "abi/vfio.h"
#include "entry/copy.h"
#include "entry/vfio_handlers.h"

namespace teeio::entry {
namespace {

/// As many as kmalloc() has room for, 4 MiB.
constexpr std::uint32_t kMaxRanges = 262'144;
constexpr std::string_view kNoMethod = "a feature is got, set or probed";

/// vfio_pci_core_feature_dma_buf(): get only; the answer is a descriptor.
Result<std::int64_t> feature_dma_buf(Call& call, const abi::vfio_device_feature& header) {
  using Arg = abi::vfio_device_feature_dma_buf;
  if (header.argsz < sizeof(header) + sizeof(Arg))
    return fail(Errno::kInval, "argsz does not cover the feature's data");
  const std::uint64_t at = call.argument + sizeof(header);
  Arg arg;
  TEEIO_TRY(call.memory().read(at, writable_bytes_of(arg)));
  if (arg.nr_ranges == 0 || arg.flags != 0)
    return fail(Errno::kInval, "a dma-buf needs ranges and no flags");
  vfio::Device& device = static_cast<vfio::DeviceFile&>(call.file).device();
  TEEIO_TRY(device.check_exportable(arg.region_index));
  if (arg.nr_ranges > kMaxRanges) return fail(Errno::kNoMem, "too many ranges");
  using Range = abi::vfio_region_dma_range;
  std::vector<Range> ranges(arg.nr_ranges);
  TEEIO_TRY(call.memory().read(at + sizeof(Arg), std::as_writable_bytes(std::span(ranges))));
  std::vector<vfio::Device::Slice> slices;
  for (const Range& range : ranges)
    slices.push_back({.offset = range.offset, .length = range.length});
  TEEIO_ASSIGN(object::Ref<object::File> file, device.export_dmabuf(arg.region_index, slices));
  TEEIO_ASSIGN(const std::int32_t fd, call.caller.install(std::move(file), arg.open_flags));
  return fd;
}

/// vfio_pci_core_feature_token(): set only.
Result<std::int64_t> feature_vf_token(Call& call, const abi::vfio_device_feature& header) {
  const auto& token = static_cast<vfio::DeviceFile&>(call.file).device().vf_token();
  if (token == nullptr) return fail(Errno::kNoTty, "the device is no PF");
  if ((header.flags & VFIO_DEVICE_FEATURE_GET) != 0)
    return fail(Errno::kInval, "a VF token can only be set");
  if ((header.flags & VFIO_DEVICE_FEATURE_PROBE) != 0) return 0;
  if ((header.flags & VFIO_DEVICE_FEATURE_SET) == 0) return fail(Errno::kInval, kNoMethod);
  vfio::Uuid uuid{};
  if (header.argsz < sizeof(header) + uuid.size())
    return fail(Errno::kInval, "argsz does not cover the token");
  TEEIO_TRY(call.memory().read(call.argument + sizeof(header), uuid));
  token->set(uuid);
  return 0;
}

/// vfio_check_feature() of one that is set only. False: it was a probe.
Result<bool> sets(const abi::vfio_device_feature& header, std::size_t data) {
  if ((header.flags & VFIO_DEVICE_FEATURE_GET) != 0)
    return fail(Errno::kInval, "the feature can only be set");
  if ((header.flags & VFIO_DEVICE_FEATURE_PROBE) != 0) return false;
  if ((header.flags & VFIO_DEVICE_FEATURE_SET) == 0) return fail(Errno::kInval, kNoMethod);
  if (header.argsz < sizeof(header) + data)
    return fail(Errno::kInval, "argsz does not cover the feature's data");
  return true;
}

/// vfio_pci_core_pm_entry(), vfio_pci_core_pm_exit().
Result<std::int64_t> feature_low_power(Call& call, const abi::vfio_device_feature& header,
                                       bool enters) {
  TEEIO_ASSIGN(const bool does, sets(header, 0));
  if (!does) return 0;
  vfio::Device& device = static_cast<vfio::DeviceFile&>(call.file).device();
  if (enters) TEEIO_TRY(device.enter_low_power({}));
  if (!enters) device.leave_low_power();
  return 0;
}

/// vfio_pci_core_pm_entry_with_wakeup().
Result<std::int64_t> feature_low_power_wakeup(Call& call, const abi::vfio_device_feature& header) {
  using Arg = abi::vfio_device_low_power_entry_with_wakeup;
  TEEIO_ASSIGN(const bool does, sets(header, sizeof(Arg)));
  if (!does) return 0;
  TEEIO_ASSIGN(const Arg entry, copy_in<Arg>(call.memory(), call.argument + sizeof(header)));
  if (entry.wakeup_eventfd < 0) return fail(Errno::kInval, "an eventfd is missing");
  TEEIO_ASSIGN(object::Ref<mm::EventFd> event, eventfd_of(call, entry.wakeup_eventfd));
  TEEIO_TRY(static_cast<vfio::DeviceFile&>(call.file).device().enter_low_power(std::move(event)));
  return 0;
}

}  // namespace

/// vfio_ioctl_device_feature() and vfio_check_feature().
Result<std::int64_t> ioctl_device_feature(Call& call) {
  using Arg = abi::vfio_device_feature;
  Arg arg;
  TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(arg)));
  constexpr std::uint32_t kOps =
      VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE;
  if (arg.argsz < sizeof(Arg) ||
      (arg.flags & ~(static_cast<std::uint32_t>(VFIO_DEVICE_FEATURE_MASK) | kOps)) != 0)
    return fail(Errno::kInval, "argsz or flags of the feature are wrong");
  const bool get = (arg.flags & VFIO_DEVICE_FEATURE_GET) != 0;
  const bool set = (arg.flags & VFIO_DEVICE_FEATURE_SET) != 0;
  const bool probe = (arg.flags & VFIO_DEVICE_FEATURE_PROBE) != 0;
  if (!probe && get && set) return fail(Errno::kInval, "a feature is got or set, not both");
  const std::uint32_t feature = arg.flags & VFIO_DEVICE_FEATURE_MASK;
  switch (feature) {
    case VFIO_DEVICE_FEATURE_PCI_VF_TOKEN:
      return feature_vf_token(call, arg);
    case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
      return feature_low_power(call, arg, true);
    case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
      return feature_low_power_wakeup(call, arg);
    case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
      return feature_low_power(call, arg, false);
    // vfio_ioctl_device_feature_migration_precopy_info_v2(): no device here has PRE_COPY.
    case VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2:
      return fail(Errno::kInval, "the device has no pre-copy");
    default:
      break;
  }
  if (feature != VFIO_DEVICE_FEATURE_DMA_BUF)
    return fail(Errno::kNoTty, "the device does not have the feature");
  if (set) return fail(Errno::kInval, "the feature can only be got");
  if (probe) return 0;
  if (!get) return fail(Errno::kInval, kNoMethod);
  return feature_dma_buf(call, arg);
}

}  // namespace teeio::entry
