#pragma once

#include "wire/spdm_algorithms.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {

/// The supported algorithms block of a 1.3 CAPABILITIES: NEGOTIATE_ALGORITHMS
/// from its param1 on. Source: DSP0274 1.3, table "Supported algorithms block".
SpdmAlgorithmOffer read_algorithm_block(SpdmReader& r);
void write_algorithm_block(Writer& w, const SpdmAlgorithmOffer& offer, std::uint8_t version);

}  // namespace teeio::wire
