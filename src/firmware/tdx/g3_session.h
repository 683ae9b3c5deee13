#pragma once

#include <cstdint>

#include "firmware/tdx/g3_leaves.h"
#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

/// A session by the id that the module gave it: IOMMU and index in its directory.
struct G3Session {
  std::uint32_t iommu_id = 0;
  std::uint32_t index = 0;
  IommuState* iommu = nullptr;
  SpdmSession* spdm = nullptr;

  [[nodiscard]] static std::uint64_t name(std::uint32_t iommu, std::uint32_t index) {
    return std::uint64_t{iommu} << 8U | index;
  }
};
/// Locks IOMMU and session. Checks "no_spdm", "iommu_busy", "iommu_state", "spdm_busy"; the
/// first and the last name `operand`.
Checked<G3Session> g3_session(Leaf& leaf, std::uint64_t spdm, Operand operand);

/// The pages of `messages`. Checks "shared" with both operands.
Checked<void> g3_messages(Leaf& leaf, const G3Leaves::Messages& messages, Operand answer,
                          Operand request);
/// A message for the device: the status, and RCX. Precondition: g3_messages() held.
LeafResult g3_request(Leaf& leaf, Hpa page, const Bytes& request);

}  // namespace teeio::tdx
