#pragma once

#include <expected>
#include <string>

#include "spdm/credentials.h"

namespace teeio::cli {

/// "HINT=KEY", both as they are; requesters count a text's final zero byte as part of it.
/// Error: ready to print.
[[nodiscard]] std::expected<spdm::Psk, std::string> parse_psk(const std::string& text);

}  // namespace teeio::cli
