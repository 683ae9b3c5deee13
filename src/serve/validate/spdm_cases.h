#pragma once

#include <span>

#include "serve/validate/case.h"

namespace teeio::serve::validate {

/// Certificates, CHALLENGE and MEASUREMENTS.
[[nodiscard]] std::span<const Case> spdm_attestation_cases();
[[nodiscard]] std::span<const Case> spdm_chunk_cases();
[[nodiscard]] std::span<const Case> spdm_log_cases();

}  // namespace teeio::serve::validate
