#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace teeio {

/// Two small digits a byte.
[[nodiscard]] std::string to_hex(ByteView bytes);
/// The same at the end of `out`.
void append_hex(std::string& out, ByteView bytes);
/// Of either case; nullopt for anything but pairs of digits.
[[nodiscard]] std::optional<Bytes> from_hex(std::string_view text);

}  // namespace teeio
