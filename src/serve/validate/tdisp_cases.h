#pragma once

#include <span>

#include "serve/validate/bench.h"
#include "serve/validate/case.h"

namespace teeio::serve::validate {

/// TDISP beyond tee-io-validator's documents: peer-to-peer streams, MMIO
/// attributes, vendor messages, what moves a TDI to ERROR, headers.
[[nodiscard]] std::span<const Case> tdisp_extra_cases();

/// What is in a report, beyond that it comes.
[[nodiscard]] std::span<const Case> tdisp_report_cases();

/// `request` gets TDISP_ERROR `code` and leaves the TDI in `state`.
[[nodiscard]] Verdict refuses(TdiUnderTest& tdi, const wire::TdispBody& request,
                              wire::TdispError code, wire::TdiState state);

}  // namespace teeio::serve::validate
