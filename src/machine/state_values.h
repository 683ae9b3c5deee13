#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace teeio::machine {

/// Whether the census (Machine::census()) can ever say `value` of the state `name`, a line
/// of it such as "TDI state of 0000:01:00.0". The error says which values it can have:
/// "one of CONFIG_UNLOCKED, CONFIG_LOCKED, RUN, ERROR", "a number, such as 12".
[[nodiscard]] std::expected<void, std::string> check_state_value(std::string_view name,
                                                                 std::string_view value);

}  // namespace teeio::machine
