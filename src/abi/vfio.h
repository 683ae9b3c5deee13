#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

/// The VFIO device uAPI under its Linux names, in a namespace.
namespace teeio::abi {
#include "abi/linux/vfio.h"
}  // namespace teeio::abi

#include "abi/proposed.h"
