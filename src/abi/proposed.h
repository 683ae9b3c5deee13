#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

/// TSM bind as proposed on the lists, in a namespace; abi/linux/teeio_proposed.h
/// names the series. Which numbers hold in a run: abi/profile.h.
namespace teeio::abi {
#include "abi/linux/teeio_proposed.h"
}  // namespace teeio::abi
