#pragma once

#include <cstdint>
#include <vector>

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

// Invalidations that a guest asks for of its own accord, and that its host commits IOMMU by
// IOMMU. Source: tdxio branch, tdg_iq_inv_request.c, tdh_iq_inv_request.c (INV_REQ_TD) and
// tdh_iq_inv_process.c.

/// Takes up to `most` of the descriptors that this IOMMU has not got yet.
/// Precondition: it has not got all.
[[nodiscard]] std::vector<InvalidationDescriptor> commit_of(GuestInvalidation& asked,
                                                            std::uint32_t iommu,
                                                            std::uint32_t most);
/// What the IOMMU forgets for one of them.
void forget_for_guest(hw::VtdIommu& unit, const Td& td, const InvalidationDescriptor& descriptor);

/// PROCESS has passed one of the TD's descriptors, or a wait of its requests: they count alike.
void passed_for_guest(State& s, Td& td, std::uint32_t iommu);
/// PROCESS has passed an invalidation of everything of the TD's in this IOMMU.
void all_passed_for_guest(State& s, Td& td, std::uint32_t iommu);

}  // namespace teeio::tdx
