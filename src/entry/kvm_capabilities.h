#pragma once

#include <cstdint>
#include <string_view>

namespace teeio::entry {

/// "KVM_CAP_IOEVENTFD"; empty for a number that this ABI has no name for.
[[nodiscard]] std::string_view kvm_capability_name(std::uint64_t number);

}  // namespace teeio::entry
