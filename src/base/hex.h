#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace teeio {

/// Two small digits a byte.
[[nodiscard]] std::string to_hex(ByteView bytes);
/// Of either case; nullopt for anything but pairs of digits.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view text);

}  // namespace teeio
