#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

#ifndef TEEIO_ABI_STRUCT
#define TEEIO_ABI_STRUCT(name) ::teeio::abi::name
#endif

/// The uAPI of /dev/sev under its Linux names, in a namespace.
namespace teeio::abi {
#include "abi/linux/psp-sev.h"
}  // namespace teeio::abi
