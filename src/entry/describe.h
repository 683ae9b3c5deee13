#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/mm/user_memory.h"

namespace teeio::entry {

/// An ioctl's argument as it stands in the program's memory, in strace's manner:
/// "{flags=0x1, ioas_id=3, …}"; the bare number when the call takes none or the
/// memory cannot be read.
[[nodiscard]] std::string describe_argument(mm::UserMemory& memory, std::string_view name,
                                            std::uint64_t argument);

}  // namespace teeio::entry
