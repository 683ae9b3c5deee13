#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "entry/argument.h"

namespace teeio::entry {

/// "KVM_CAP_IOEVENTFD"; empty for a number that this ABI has no name for.
[[nodiscard]] std::string_view kvm_capability_name(std::uint64_t number);

/// All of them.
[[nodiscard]] std::span<const Word> kvm_capability_words();

}  // namespace teeio::entry
