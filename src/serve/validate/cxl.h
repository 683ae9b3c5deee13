#pragma once

#include <expected>
#include <span>

#include "serve/validate/bench.h"
#include "wire/cxl.h"

namespace teeio::serve::validate {

/// The answer's message, without its protocol's byte; skipped when the device knows no CXL,
/// failed when there is none.
std::expected<Bytes, Verdict> ask_cxl(Session& session, wire::cxl::Protocol protocol,
                                      ByteView message);
/// Whatever comes: kAnswer has the message without its protocol's byte.
Reply cxl_reply(Session& session, wire::cxl::Protocol protocol, ByteView message);

[[nodiscard]] std::span<const Case> cxl_tsp_cases();

}  // namespace teeio::serve::validate
