#pragma once

#include <cstdint>
#include <vector>

#include "firmware/tdx/leaf.h"

namespace teeio::tdx {

// What both generations of the API do with an IDE stream.

/// Checks "stream_id", of a register, and "stream".
Checked<IdeStream*> stream_at(Leaf& leaf, IommuState& iommu, std::uint64_t stream);
/// As stream_at(), and it may still carry messages about its keys. Checks "stream_blocked".
Checked<IdeStream*> usable_stream(Leaf& leaf, IommuState& iommu, std::uint64_t stream);
/// Whether there can be such a stream. Checks "root_port", "ide", "block", "block_used",
/// "stream_id", "rids", "addresses", "rid_overlap", "address_overlap".
Checked<void> check_stream(Leaf& leaf, const IommuState& iommu, const IdeStreamConfig& config);
/// The root port has the stream, and the module its pages. Check "hardware".
Checked<void> make_stream(Leaf& leaf, std::uint32_t iommu, std::uint32_t session,
                          const IdeStreamConfig& config, std::vector<Hpa> pages);
/// It carries nothing any more.
void block_stream(State& s, std::uint32_t iommu, std::uint8_t id, IdeStream& stream);
/// Its id is free, and its pages are the host's.
void forget_stream(State& s, std::uint32_t iommu, std::uint8_t id);

}  // namespace teeio::tdx
