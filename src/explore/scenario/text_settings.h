#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "machine/config.h"

namespace teeio::explore {

struct SettingProblem {
  bool value_is_wrong;  ///< else there is no such key
  std::string what;     ///< with what is allowed
};

/// Whether a machine file's [policies] may have `key = "value"`.
[[nodiscard]] std::expected<void, SettingProblem> check_setting(std::string_view key,
                                                                std::string_view value);
/// Sets it. Precondition: check_setting().
void apply_setting(machine::Config& config, std::string_view key, std::string_view value);

}  // namespace teeio::explore
