#pragma once

#include <cstdint>

namespace teeio::vfio {

/// What the last close of a device does first.
/// kUnbindFirst: leave iommufd (which unbinds the TSM), then revoke and reset.
/// kMainline: Linux 7.3's vfio_df_device_last_close(): revoke dma-bufs, clear
/// bus mastering, reset, and only then leave iommufd.
enum class CloseOrder : std::uint8_t { kUnbindFirst, kMainline };

/// What happens to reset, FLR, config writes with effect and register access
/// while the device is bound. kBlock: refused with EBUSY (list, 2025-06);
/// kAutoUnbind: the TDI is unbound first (RFC 20/30).
enum class WhileBound : std::uint8_t { kBlock, kAutoUnbind };

/// What /dev/vfio/vfio is: VFIO's own container (CONFIG_VFIO_CONTAINER, as distributions
/// have it), or an iommufd that answers its calls (CONFIG_IOMMUFD_VFIO_CONTAINER).
enum class ContainerKind : std::uint8_t { kType1, kIommufd };

struct Policies {
  CloseOrder close_order = CloseOrder::kUnbindFirst;
  WhileBound while_bound = WhileBound::kBlock;
};

}  // namespace teeio::vfio
