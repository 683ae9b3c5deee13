#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace teeio::run {

// A call's arguments as strace(1) spells them.

/// "O_RDWR|O_CLOEXEC".
[[nodiscard]] std::string open_flags_text(std::uint32_t flags);
/// "PROT_READ|PROT_WRITE".
[[nodiscard]] std::string protection_text(std::uint32_t protection);
/// "MAP_SHARED".
[[nodiscard]] std::string map_flags_text(std::uint32_t flags);

inline constexpr std::size_t kShownBytes = 32;  ///< strace's default for -s
/// The first kShownBytes of `bytes`, in quotes; "..." behind when there are more in `all`.
[[nodiscard]] std::string quoted(ByteView bytes, std::size_t all);

}  // namespace teeio::run
