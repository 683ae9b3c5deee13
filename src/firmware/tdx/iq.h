#pragma once

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// Descriptors that the IOMMU's queue has room for.
[[nodiscard]] std::uint32_t queue_room(const IommuState& iommu);
/// The checks "wait" of who queues something. Source: tdh_iq_inv_request.c; VT-d 6.5.2.8. The
/// IOMMU drains no page requests.
Checked<void> check_wait(Leaf& leaf, const WaitDescriptor& wait);

}  // namespace teeio::tdx
