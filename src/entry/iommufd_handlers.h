#pragma once

#include <cstdint>

#include "entry/call.h"
#include "entry/copy.h"
#include "host/iommufd/context.h"

namespace teeio::entry {

/// The iommufd on which a handler was called.
inline iommufd::Context& context(Call& call) { return static_cast<iommufd::Context&>(call.file); }
inline std::unexpected<Error> unknown_flag() {
  return fail(Errno::kOpNotSupp, "a flag or reserved field is set that this ABI does not know");
}

/// Copies a new object's id out, or destroys the object.
template <class T>
Result<std::int64_t> finish_alloc(Call& call, const T& arg, std::uint32_t id) {
  if (auto out = copy_struct_out(call.memory(), call.argument, arg, arg.size); !out) {
    (void)context(call).destroy(id);
    return std::unexpected(out.error());
  }
  return 0;
}

// The handlers behind iommufd_rows(), one an ioctl: decode, one call, encode.
Result<std::int64_t> ioctl_destroy(Call& call);
Result<std::int64_t> ioctl_ioas_alloc(Call& call);
Result<std::int64_t> ioctl_ioas_iova_ranges(Call& call);
Result<std::int64_t> ioctl_ioas_allow_iovas(Call& call);
Result<std::int64_t> ioctl_ioas_map(Call& call);
Result<std::int64_t> ioctl_ioas_map_file(Call& call);
Result<std::int64_t> ioctl_ioas_copy(Call& call);
Result<std::int64_t> ioctl_ioas_unmap(Call& call);
Result<std::int64_t> ioctl_ioas_change_process(Call& call);
Result<std::int64_t> ioctl_ioas_noiommu_get_pa(Call& call);
Result<std::int64_t> ioctl_iommu_option(Call& call);
Result<std::int64_t> ioctl_hwpt_alloc(Call& call);
Result<std::int64_t> ioctl_hwpt_invalidate(Call& call);
Result<std::int64_t> ioctl_hwpt_set_dirty_tracking(Call& call);
Result<std::int64_t> ioctl_hwpt_get_dirty_bitmap(Call& call);
Result<std::int64_t> ioctl_fault_queue_alloc(Call& call);
Result<std::int64_t> ioctl_get_hw_info(Call& call);
Result<std::int64_t> ioctl_iommufd_test(Call& call);
Result<std::int64_t> ioctl_viommu_alloc(Call& call);
Result<std::int64_t> ioctl_veventq_alloc(Call& call);
Result<std::int64_t> ioctl_hw_queue_alloc(Call& call);
Result<std::int64_t> ioctl_vdevice_alloc(Call& call);
Result<std::int64_t> ioctl_vdevice_tsm_op(Call& call);
Result<std::int64_t> ioctl_vdevice_tsm_req(Call& call);
Result<std::int64_t> ioctl_vdevice_tsm_guest_request(Call& call);
// iommufd_compat.cc: a type 1 container's calls.
Result<std::int64_t> ioctl_iommufd_vfio_ioas(Call& call);
Result<std::int64_t> ioctl_vfio_get_api_version(Call& call);
Result<std::int64_t> ioctl_vfio_check_extension(Call& call);
Result<std::int64_t> ioctl_vfio_set_iommu(Call& call);
Result<std::int64_t> ioctl_vfio_iommu_get_info(Call& call);
Result<std::int64_t> ioctl_vfio_iommu_map_dma(Call& call);
Result<std::int64_t> ioctl_vfio_iommu_unmap_dma(Call& call);

}  // namespace teeio::entry
