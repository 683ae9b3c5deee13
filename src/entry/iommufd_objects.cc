#include "abi/iommufd.h"
#include "abi/proposed.h"
#include "entry/copy.h"
#include "entry/iommufd_handlers.h"
#include "entry/program_data.h"

// As iommufd_ioas.cc; Linux drivers/iommu/iommufd/{hw_pagetable,device,viommu}.c.

namespace teeio::entry {
Result<std::int64_t> ioctl_get_hw_info(Call& call) {
  using Arg = abi::iommu_hw_info;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument,
                                            offsetof(Arg, __reserved) + sizeof(Arg::__reserved)));
  constexpr std::uint32_t kInputType = 1;  // IOMMU_HW_INFO_FLAG_INPUT_TYPE
  if ((arg.flags & ~kInputType) != 0 || arg.__reserved[0] != 0 || arg.__reserved[1] != 0 ||
      arg.__reserved[2] != 0)
    return unknown_flag();
  const std::uint32_t wanted = (arg.flags & kInputType) != 0 ? arg.in_data_type : 0;
  TEEIO_ASSIGN(const auto info, context(call).hw_info(arg.dev_id, wanted));
  const ByteView data = info.iommu.data;
  const std::uint32_t room = arg.data_len;
  TEEIO_TRY(
      call.memory().write(arg.data_uptr, data.first(std::min<std::size_t>(room, data.size()))));
  if (room > data.size()) {
    const Bytes zeros(std::min<std::size_t>(room - data.size(), kPageSize));
    for (std::uint64_t at = data.size(); at < room; at += zeros.size())
      TEEIO_TRY(call.memory().write(arg.data_uptr + at, ByteView(zeros).first(std::min<std::size_t>(
                                                            zeros.size(), room - at))));
  }
  arg.data_len = static_cast<std::uint32_t>(data.size());
  arg.out_data_type = info.iommu.type;
  arg.out_max_pasid_log2 = info.max_pasid_log2;
  arg.out_capabilities = info.capabilities;
  TEEIO_TRY(copy_struct_out(call.memory(), call.argument, arg, arg.size));
  return 0;
}

Result<std::int64_t> ioctl_viommu_alloc(Call& call) {
  using Arg = abi::iommu_viommu_alloc;
  TEEIO_ASSIGN(Arg arg,
               copy_struct_in<Arg>(call.memory(), call.argument,
                                   offsetof(Arg, out_viommu_id) + sizeof(Arg::out_viommu_id)));
  // Linux ignores __reserved. The profile's number of the TSM's vIOMMU becomes iommufd's own.
  std::uint32_t type = arg.type;
  const std::uint32_t tsm_type = abi::proposed_abi(call.host.profile).viommu_type_tsm;
  if (type == tsm_type)
    type = IOMMU_VIOMMU_TYPE_TSM;
  else if (type == IOMMU_VIOMMU_TYPE_TSM)
    type = ~0U;
  ProgramData data(call.memory(), arg.data_uptr, type, arg.data_len);
  TEEIO_ASSIGN(
      arg.out_viommu_id,
      context(call).viommu_alloc(
          {.flags = arg.flags, .type = type, .dev_id = arg.dev_id, .hwpt_id = arg.hwpt_id}, data));
  return finish_alloc(call, arg, arg.out_viommu_id);
}

Result<std::int64_t> ioctl_vdevice_alloc(Call& call) {
  using Arg = abi::iommu_vdevice_alloc;
  TEEIO_ASSIGN(Arg arg, copy_struct_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  TEEIO_ASSIGN(arg.out_vdevice_id,
               context(call).vdevice_alloc(arg.viommu_id, arg.dev_id, arg.virt_id));
  return finish_alloc(call, arg, arg.out_vdevice_id);
}

}  // namespace teeio::entry
