#pragma once

#include <cstdint>
#include <string>

#include "abi/profile.h"
#include "entry/argument.h"
#include "host/mm/user_memory.h"

namespace teeio::entry {

/// An ioctl's argument as it stands in the program's memory, in strace's manner:
/// "{flags=IOMMU_IOAS_MAP_READABLE, ioas_id=3, …}"; the bare number when the call takes
/// none or the memory cannot be read. `profile`: whose numbers proposed values have.
[[nodiscard]] std::string describe_argument(mm::UserMemory& memory, const Argument& what,
                                            std::uint64_t argument,
                                            abi::AbiProfile profile = abi::AbiProfile::kTeeio);

}  // namespace teeio::entry
