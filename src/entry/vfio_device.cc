#include "abi/proposed.h"
#include "abi/vfio.h"
#include "entry/copy.h"
#include "entry/vfio_handlers.h"
#include "host/iommufd/context.h"

// Linux drivers/vfio/{device_cdev,vfio_main}.c and pci/vfio_pci_core.c.

namespace teeio::entry {
namespace {

vfio::DeviceFile& device_file(Call& call) { return static_cast<vfio::DeviceFile&>(call.file); }
vfio::Device& device(Call& call) { return device_file(call).device(); }

template <class T>
Result<void> copy_argsz_out(Call& call, const T& arg, std::size_t size) {
  return call.memory().write(call.argument, bytes_of(arg).first(size));
}

std::unexpected<Error> bad_flags() { return fail(Errno::kInval, "an unknown flag is set"); }

Result<object::Ref<object::File>> iommufd_of(Call& call, std::int32_t fd) {
  TEEIO_ASSIGN(object::Ref<object::File> file, call.caller.file(fd));
  if (file->kind() != object::FileKind::kIommu)
    return fail(Errno::kBadFd, "the descriptor is no iommufd");
  return file;
}

/// vfio_df_check_token()'s part.
Result<std::optional<vfio::Uuid>> token_of(Call& call, const abi::vfio_device_bind_iommufd& arg) {
  if ((arg.flags & VFIO_DEVICE_BIND_FLAG_TOKEN) == 0) return std::nullopt;
  vfio::Uuid token{};
  TEEIO_TRY(call.memory().read(arg.token_uuid_ptr, token));
  return token;
}

/// ATTACH and DETACH are calls of the node alone: vfio_device_fops_unl_ioctl().
Result<void> check_from_node(Call& call) {
  if (!device_file(call).from_group()) return {};
  return fail(Errno::kNoTty, "a device that comes from a group has its container");
}

}  // namespace

Result<std::int64_t> ioctl_bind_iommufd(Call& call) {
  using Arg = abi::vfio_device_bind_iommufd;
  TEEIO_ASSIGN(Arg arg,
               copy_struct_in<Arg>(call.memory(), call.argument, TEEIO_END_OF(Arg, out_devid)));
  if (arg.iommufd < 0 ||
      (arg.flags & ~static_cast<std::uint32_t>(VFIO_DEVICE_BIND_FLAG_TOKEN)) != 0)
    return fail(Errno::kInval, "a flag is unknown or the iommufd is negative");
  TEEIO_ASSIGN(arg.out_devid,
               device_file(call).bind_iommufd(iommufd_of(call, arg.iommufd), token_of(call, arg)));
  if (auto out =
          call.memory().write(call.argument + offsetof(Arg, out_devid), bytes_of(arg.out_devid));
      !out) {
    device_file(call).undo_bind();
    return std::unexpected(out.error());
  }
  return 0;
}

Result<std::int64_t> ioctl_attach_pt(Call& call) {
  TEEIO_TRY(check_from_node(call));
  using Arg = abi::vfio_device_attach_iommufd_pt;
  TEEIO_ASSIGN(Arg arg, copy_argsz_in<Arg>(call.memory(), call.argument, TEEIO_END_OF(Arg, pt_id)));
  if ((arg.flags & ~static_cast<std::uint32_t>(VFIO_DEVICE_ATTACH_PASID)) != 0) return bad_flags();
  const bool with_pasid = (arg.flags & VFIO_DEVICE_ATTACH_PASID) != 0;
  if (with_pasid) {
    if (arg.argsz < sizeof(Arg)) return fail(Errno::kInval, "argsz does not cover the PASID");
    TEEIO_ASSIGN(arg.pasid,
                 copy_in<std::uint32_t>(call.memory(), call.argument + offsetof(Arg, pasid)));
    TEEIO_ASSIGN(arg.pt_id, device(call).attach_pasid(arg.pt_id, arg.pasid));
  } else {
    TEEIO_ASSIGN(arg.pt_id, device(call).attach(arg.pt_id));
  }
  if (auto out = call.memory().write(call.argument + offsetof(Arg, pt_id), bytes_of(arg.pt_id));
      !out) {
    with_pasid ? device(call).detach_pasid(arg.pasid) : device(call).detach();
    return std::unexpected(out.error());
  }
  return 0;
}

Result<std::int64_t> ioctl_detach_pt(Call& call) {
  TEEIO_TRY(check_from_node(call));
  using Arg = abi::vfio_device_detach_iommufd_pt;
  TEEIO_ASSIGN(const Arg arg,
               copy_argsz_in<Arg>(call.memory(), call.argument, TEEIO_END_OF(Arg, flags)));
  if ((arg.flags & ~static_cast<std::uint32_t>(VFIO_DEVICE_DETACH_PASID)) != 0) return bad_flags();
  if ((arg.flags & VFIO_DEVICE_DETACH_PASID) == 0) {
    device(call).detach();
    return 0;
  }
  if (arg.argsz < sizeof(Arg)) return fail(Errno::kInval, "argsz does not cover the PASID");
  TEEIO_ASSIGN(const auto pasid,
               copy_in<std::uint32_t>(call.memory(), call.argument + offsetof(Arg, pasid)));
  device(call).detach_pasid(pasid);
  return 0;
}

Result<std::int64_t> ioctl_device_info(Call& call) {
  using Arg = abi::vfio_device_info;
  TEEIO_ASSIGN(Arg arg,
               copy_argsz_in<Arg>(call.memory(), call.argument, TEEIO_END_OF(Arg, num_irqs)));
  const std::size_t size = std::min<std::size_t>(arg.argsz, sizeof(Arg));
  const std::uint32_t argsz = arg.argsz;
  arg = {};
  arg.argsz = argsz;
  arg.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
  arg.num_regions = vfio::kRegions;
  arg.num_irqs = static_cast<std::uint32_t>(vfio::IrqIndex::kCount);
  TEEIO_TRY(copy_argsz_out(call, arg, size));
  return 0;
}

Result<std::int64_t> ioctl_region_info(Call& call) {
  using Arg = abi::vfio_region_info;
  TEEIO_ASSIGN(Arg arg,
               copy_argsz_in<Arg>(call.memory(), call.argument, TEEIO_END_OF(Arg, offset)));
  TEEIO_ASSIGN(const auto region, device(call).region(arg.index));
  arg.offset = static_cast<std::uint64_t>(arg.index) << vfio::kRegionShift;
  arg.size = region.size;
  arg.cap_offset = 0;
  arg.flags = 0;
  if (region.readable) arg.flags |= VFIO_REGION_INFO_FLAG_READ;
  if (region.writable) arg.flags |= VFIO_REGION_INFO_FLAG_WRITE;
  if (region.mappable) arg.flags |= VFIO_REGION_INFO_FLAG_MMAP;
  const abi::vfio_info_cap_header msix{
      .id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, .version = 1, .next = 0};
  if (region.holds_msix_table && region.size != 0) {
    arg.flags |= VFIO_REGION_INFO_FLAG_CAPS;
    const auto wanted = static_cast<std::uint32_t>(sizeof(Arg) + sizeof(msix));
    if (arg.argsz < wanted) {
      arg.argsz = wanted;
    } else {
      TEEIO_TRY(call.memory().write(call.argument + sizeof(Arg), bytes_of(msix)));
      arg.cap_offset = sizeof(Arg);
    }
  }
  TEEIO_TRY(copy_argsz_out(call, arg, sizeof(Arg)));
  return 0;
}

Result<std::int64_t> ioctl_irq_info(Call& call) {
  using Arg = abi::vfio_irq_info;
  TEEIO_ASSIGN(Arg arg, copy_argsz_in<Arg>(call.memory(), call.argument, TEEIO_END_OF(Arg, count)));
  if (arg.index >= static_cast<std::uint32_t>(vfio::IrqIndex::kCount))
    return fail(Errno::kInval, "no such interrupt index");
  const auto index = static_cast<vfio::IrqIndex>(arg.index);
  arg.flags = VFIO_IRQ_INFO_EVENTFD;
  arg.count = device(call).irqs().count(index);
  switch (index) {
    case vfio::IrqIndex::kIntx:
      arg.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
      break;
    case vfio::IrqIndex::kMsix:
      break;
    case vfio::IrqIndex::kMsi:
    case vfio::IrqIndex::kError:
    case vfio::IrqIndex::kRequest:
    case vfio::IrqIndex::kCount:
      arg.flags |= VFIO_IRQ_INFO_NORESIZE;
      break;
  }
  TEEIO_TRY(copy_argsz_out(call, arg, sizeof(Arg)));
  return 0;
}

Result<std::int64_t> ioctl_device_reset(Call& call) {
  TEEIO_TRY(device(call).reset(vfio::Device::ResetBy::kUser));
  return 0;
}

Result<std::int64_t> ioctl_tsm_bind(Call& call) {
  using Arg = abi::vfio_pci_tsm_bind;
  TEEIO_ASSIGN(const Arg arg,
               copy_argsz_in<Arg>(call.memory(), call.argument, TEEIO_END_OF(Arg, vdevice_id)));
  if (arg.flags != 0) return bad_flags();
  TEEIO_TRY(call.host.iommufd.admit(iommufd::Door::kVfio));
  TEEIO_TRY(device(call).tsm_bind(arg.vdevice_id));
  return 0;
}

Result<std::int64_t> ioctl_tsm_unbind(Call& call) {
  using Arg = abi::vfio_pci_tsm_unbind;
  TEEIO_ASSIGN(const Arg arg, copy_argsz_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  if (arg.flags != 0) return bad_flags();
  TEEIO_TRY(device(call).tsm_unbind());
  return 0;
}

}  // namespace teeio::entry
