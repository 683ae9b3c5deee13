#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

// KVM's ioctl numbers contain the size of their struct: the macros name it in
// full, so that they can be used from any namespace.
#define TEEIO_ABI_STRUCT(name) ::teeio::abi::name

/// The KVM uAPI (x86-64) under its Linux names, in a namespace.
namespace teeio::abi {
#include "abi/linux/kvm.h"
}  // namespace teeio::abi

#include "abi/proposed.h"
