#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

/// iommufd's uAPI under its Linux names, in a namespace. The macros stay global,
/// as macros do. Errors, sizes and layouts: abi/linux/iommufd.h, layout.cc.
namespace teeio::abi {
#include "abi/linux/iommufd.h"
}  // namespace teeio::abi

#include "abi/proposed.h"
