#include "machine/state_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "device/tdi_state.h"
#include "host/sysfs/topology.h"

namespace teeio::machine {
namespace {

constexpr std::string_view kNothing = "";

/// The words of a state that has words; none: it is a number or a register.
std::vector<std::string_view> words_of(std::string_view name) {
  using enum device::TdiState;
  if (name.starts_with("TDI state of ")) {
    std::vector<std::string_view> states;
    for (const auto state : {kConfigUnlocked, kConfigLocked, kRun, kError})
      states.push_back(device::tdi_state_name(state));
    return states;
  }
  if (name.starts_with("driver of "))
    return {"pcieport", sysfs::kVfioDriver, sysfs::kNativeDriver, kNothing};
  if (name.starts_with("TSM of ") || name.starts_with("bound TSM of ")) return {"tsm0", kNothing};
  if (name.starts_with("in use by VFIO ")) return {"yes", "no"};
  return {};
}

bool is_digits(std::string_view text, std::string_view digits) {
  return !text.empty() && text.find_first_not_of(digits) == std::string_view::npos;
}

/// As census() prints a command register: "0x0006".
bool is_register(std::string_view text) {
  constexpr std::size_t kLength = 6;
  return text.size() == kLength && text.starts_with("0x") &&
         is_digits(text.substr(2), "0123456789abcdef");
}

}  // namespace

std::expected<void, std::string> check_state_value(std::string_view name, std::string_view value) {
  const std::vector<std::string_view> words = words_of(name);
  if (!words.empty()) {
    if (std::ranges::find(words, value) != words.end()) return {};
    std::string known;
    for (const std::string_view word : words)
      known += fmt::format("{}{}", known.empty() ? "" : ", ", word.empty() ? "\"\"" : word);
    return std::unexpected("one of " + known);
  }
  if (name.starts_with("command register of ")) {
    if (is_register(value)) return {};
    return std::unexpected("a register as 0x0006 is one");
  }
  const bool canonical = value == "0" || !value.starts_with('0');
  if (canonical && is_digits(value, "0123456789")) return {};
  return std::unexpected("a number, such as 12");
}

}  // namespace teeio::machine
