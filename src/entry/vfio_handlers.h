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
Result<std::int64_t> ioctl_device_reset(Call& call);
Result<std::int64_t> ioctl_hot_reset_info(Call& call);
Result<std::int64_t> ioctl_hot_reset(Call& call);
Result<std::int64_t> ioctl_device_feature(Call& call);
Result<std::int64_t> ioctl_tsm_bind(Call& call);
Result<std::int64_t> ioctl_tsm_unbind(Call& call);

}  // namespace teeio::entry
