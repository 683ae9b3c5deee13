#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "firmware/tdx/state.h"

namespace teeio::tdx {

// What both generations of the API do with an IOMMU and its SPDM sessions.

/// The trusted side of the IOMMU is on.
void start_iommu(IommuState& iommu, Hpa root_table);
/// It is off, and knows of no page any more: they come back by RECLAIM.
void stop_iommu(State& s, std::uint32_t iommu);
/// A session that is not bound, with its pages.
void make_session(State& s, std::uint32_t iommu, std::uint32_t session, std::vector<Hpa> pages);
/// It is gone, and its pages are the host's.
void forget_session(State& s, std::uint32_t iommu, std::uint32_t session);
/// The device has proved itself: `answer` is its last where the channel keeps no evidence.
void keep_evidence(SpdmSession& spdm, const Bytes& answer);
/// NOT_BOUND, whatever was under way.
void forget_connection(SpdmSession& spdm);

}  // namespace teeio::tdx
