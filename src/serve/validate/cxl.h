#pragma once

#include <cstdint>
#include <expected>
#include <span>

#include "serve/validate/bench.h"

namespace teeio::serve::validate {

/// CXL's protocols in vendor-defined messages under its vendor ID.
enum class CxlProtocol : std::uint8_t { kIdeKm = 0, kTsp = 1 };

/// The answer's message, without its protocol's byte; skipped when the device knows no CXL,
/// failed when there is none.
std::expected<Bytes, Verdict> ask_cxl(Session& session, CxlProtocol protocol, ByteView message);
/// 0xff behind the end.
[[nodiscard]] std::uint8_t byte_at(ByteView in, std::size_t at);

[[nodiscard]] std::span<const Case> cxl_tsp_cases();

}  // namespace teeio::serve::validate
