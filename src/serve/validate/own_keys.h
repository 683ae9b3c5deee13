#pragma once

#include <cstdint>
#include <utility>

#include "spdm/requester.h"
#include "wire/spdm_algorithms.h"

namespace teeio::serve::validate {

// What ReqBaseAsymAlg offers of the keys that the judge has.
inline constexpr auto kOwnEcdsa =
    static_cast<std::uint16_t>(std::to_underlying(wire::SpdmAsym::kEcdsaP256) |
                               std::to_underlying(wire::SpdmAsym::kEcdsaP384));
inline constexpr auto kOwnRsa =
    static_cast<std::uint16_t>(std::to_underlying(wire::SpdmAsym::kRsaSsa2048) |
                               std::to_underlying(wire::SpdmAsym::kRsaPss2048) |
                               std::to_underlying(wire::SpdmAsym::kRsaSsa3072) |
                               std::to_underlying(wire::SpdmAsym::kRsaPss3072));

/// Lets the requester authenticate itself, with one of those keys.
void authenticate(spdm::RequesterConfig& config, std::uint16_t req_base_asym);

}  // namespace teeio::serve::validate
