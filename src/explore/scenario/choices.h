#pragma once

#include <string_view>

// What explored runs choose beside the order of tasks and the steps that fail.
namespace teeio::explore {

inline constexpr std::string_view kKillChoice = "SIGKILL arrives";
inline constexpr std::string_view kMeddlingChoice = "the host meddles with an object";

}  // namespace teeio::explore
