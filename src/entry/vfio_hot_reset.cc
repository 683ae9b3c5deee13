#include "abi/vfio.h"
#include "entry/copy.h"
#include "entry/vfio_handlers.h"

namespace teeio::entry {
namespace {

/// vfio_pci_hot_reset_info and vfio_pci_hot_reset up to their arrays.
struct Header {
  std::uint32_t argsz, flags, count;
};
static_assert(sizeof(Header) == sizeof(abi::vfio_pci_hot_reset_info));
static_assert(sizeof(Header) == sizeof(abi::vfio_pci_hot_reset));

}  // namespace

/// vfio_pci_ioctl_get_pci_hot_reset_info(): ENOSPC and the count if there is no room.
Result<std::int64_t> ioctl_hot_reset_info(Call& call) {
  using Function = abi::vfio_pci_dependent_device;
  TEEIO_ASSIGN(Header arg, copy_argsz_in<Header>(call.memory(), call.argument, sizeof(Header)));
  const auto info = static_cast<vfio::DeviceFile&>(call.file).device().hot_reset_info();
  const bool fits = info.functions.size() <= (arg.argsz - sizeof(Header)) / sizeof(Function);
  arg.count = static_cast<std::uint32_t>(info.functions.size());
  arg.flags = 0;
  if (!fits) {
    TEEIO_TRY(call.memory().write(call.argument, bytes_of(arg)));
    return fail(Errno::kNoSpc, "argsz does not cover every function that is reset");
  }
  if (info.by_id) arg.flags = VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
  if (info.by_id && info.owned) arg.flags |= VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
  std::uint64_t at = call.argument + sizeof(Header);
  for (const auto& function : info.functions) {
    Function out{};
    out.devid = function.id.value_or(static_cast<std::uint32_t>(VFIO_PCI_DEVID_NOT_OWNED));
    if (!info.by_id) out.group_id = function.group;
    out.segment = function.bdf.domain;
    out.bus = function.bdf.bus;
    out.devfn = static_cast<std::uint8_t>(function.bdf.rid() & 0xffU);
    TEEIO_TRY(call.memory().write(at, bytes_of(out)));
    at += sizeof(Function);
  }
  TEEIO_TRY(call.memory().write(call.argument, bytes_of(arg)));
  return 0;
}

/// vfio_pci_ioctl_pci_hot_reset_groups().
static Result<vfio::Device::Groups> groups_of(Call& call, std::uint32_t count) {
  if (count > static_cast<vfio::DeviceFile&>(call.file).device().hot_reset_functions())
    return fail(Errno::kInval, "more groups than functions that are reset");
  std::vector<std::int32_t> numbers(count);
  TEEIO_TRY(call.memory().read(call.argument + sizeof(Header),
                               std::as_writable_bytes(std::span(numbers))));
  vfio::Device::Groups groups;
  for (const std::int32_t number : numbers) {
    TEEIO_ASSIGN(object::Ref<object::File> file, call.caller.file(number));
    if (file->kind() != object::FileKind::kVfioGroup)
      return fail(Errno::kInval, "the descriptor is no group");
    groups.push_back(std::move(file));
  }
  return groups;
}

/// vfio_pci_ioctl_pci_hot_reset(): a device that was opened by its node takes no groups.
Result<std::int64_t> ioctl_hot_reset(Call& call) {
  TEEIO_ASSIGN(const Header arg,
               copy_argsz_in<Header>(call.memory(), call.argument, sizeof(Header)));
  if (arg.flags != 0) return fail(Errno::kInval, "an unknown flag is set");
  vfio::Device& device = static_cast<vfio::DeviceFile&>(call.file).device();
  if ((arg.count != 0) == device.opened_by_node())
    return fail(Errno::kInval, "groups are for a device that was opened through one");
  if (arg.count == 0) {
    TEEIO_TRY(device.hot_reset());
    return 0;
  }
  TEEIO_ASSIGN(const vfio::Device::Groups groups, groups_of(call, arg.count));
  TEEIO_TRY(device.hot_reset(&groups));
  return 0;
}

}  // namespace teeio::entry
