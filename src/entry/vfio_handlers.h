#pragma once

#include <cstdint>

#include "entry/call.h"

namespace teeio::entry {

// The handlers behind vfio_rows(), one an ioctl: decode, one call, encode.
Result<std::int64_t> ioctl_bind_iommufd(Call& call);
Result<std::int64_t> ioctl_attach_pt(Call& call);
Result<std::int64_t> ioctl_detach_pt(Call& call);
Result<std::int64_t> ioctl_device_info(Call& call);
Result<std::int64_t> ioctl_region_info(Call& call);
Result<std::int64_t> ioctl_irq_info(Call& call);
Result<std::int64_t> ioctl_set_irqs(Call& call);
Result<std::int64_t> ioctl_vfio_ioeventfd(Call& call);
/// eventfd_ctx_fdget(); null for a negative number. Errors: EBADF; EINVAL it is no eventfd.
Result<object::Ref<mm::EventFd>> eventfd_of(Call& call, std::int32_t fd);
Result<std::int64_t> ioctl_device_reset(Call& call);
Result<std::int64_t> ioctl_hot_reset_info(Call& call);
Result<std::int64_t> ioctl_hot_reset(Call& call);
Result<std::int64_t> ioctl_device_feature(Call& call);
Result<std::int64_t> ioctl_tsm_bind(Call& call);
Result<std::int64_t> ioctl_tsm_unbind(Call& call);

// Behind vfio_group_rows() and vfio_container_rows().
Result<std::int64_t> ioctl_group_get_status(Call& call);
Result<std::int64_t> ioctl_group_set_container(Call& call);
Result<std::int64_t> ioctl_group_unset_container(Call& call);
Result<std::int64_t> ioctl_group_get_device_fd(Call& call);
Result<std::int64_t> ioctl_container_get_api_version(Call& call);
Result<std::int64_t> ioctl_container_check_extension(Call& call);
Result<std::int64_t> ioctl_container_set_iommu(Call& call);
Result<std::int64_t> ioctl_type1_get_info(Call& call);
Result<std::int64_t> ioctl_type1_map_dma(Call& call);
Result<std::int64_t> ioctl_type1_unmap_dma(Call& call);
Result<std::int64_t> ioctl_type1_dirty_pages(Call& call);

}  // namespace teeio::entry
