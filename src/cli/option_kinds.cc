// What an option's words become. Nothing here knows CLI11: that is options.cc.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/nearest.h"
#include "base/text.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/run_command.h"

namespace teeio::cli {
namespace {

/// What CLI11 has as the value of a flag that was given without one.
constexpr std::string_view kBareFlag = "true";

std::string set_flag(bool& value, bool to, const std::string& word) {
  if (word != kBareFlag) return "takes no value";
  value = to;
  return {};
}

std::string set_text(std::string& value, const std::string& word) {
  value = word;
  return {};
}

std::string set_real(double& value, const std::string& word) {
  const char* const end = word.data() + word.size();
  double read = 0;
  const auto [stop, error] = std::from_chars(word.data(), end, read);
  if (error != std::errc{} || stop != end || !std::isfinite(read) || read < 0)
    return fmt::format("'{}' must be a number, 0 or more", word);
  value = read;
  return {};
}

}  // namespace

std::string Option::read_one(const std::string& word) const {
  if (needs_text_ && word.empty()) return "needs a value, and has an empty one";
  if (!choices_.empty() && std::ranges::find(choices_, word) == choices_.end()) {
    const std::string near = nearest(word, choices_);
    return fmt::format("'{}' must be {}{}", word, any_of(choices_),
                       near.empty() ? "" : fmt::format("; is it '{}'?", near));
  }
  return take_(word);
}

std::string Option::read(const std::vector<std::string>& words) const {
  for (const std::string& word : words) {
    for (std::size_t at = 0; at <= word.size();) {
      const std::size_t end = commas_ ? std::min(word.find(',', at), word.size()) : word.size();
      if (auto why = read_one(word.substr(at, end - at)); !why.empty())
        return fmt::format("{}: {}", name_, why);
      at = end + 1;
    }
  }
  return {};
}

int wrong_use(std::string_view command, const std::string& why) {
  const std::string_view space = command.empty() ? "" : " ";
  // Where a word comes from that nobody has typed.
  const char* const more = command == "run" ? environment_options() : nullptr;
  if (more != nullptr && why.find(kOptionsVariable) == std::string::npos)
    complain("teeio run: TEEIO_OPTIONS has these options, too: {}\n", visible(more));
  complain("teeio{}{}: {} (see teeio help{}{})\n", space, command, why, space, command);
  return kUsageError;
}

Option& Command::flag(const std::string& names, bool& value, const std::string& help) {
  return add_flag(names, help,
                  [&value](const std::string& word) { return set_flag(value, true, word); });
}

Option& Command::no_flag(const std::string& names, bool& value, const std::string& help) {
  return add_flag(names, help,
                  [&value](const std::string& word) { return set_flag(value, false, word); });
}

Option& Command::flag_with_value(const std::string& names, std::optional<std::string>& value,
                                 const std::string& help) {
  return add_flag(names, help,
                  [&value](const std::string& word) {
                    value = word == kBareFlag ? std::string() : word;
                    return std::string();
                  })
      .shown_as("[=VALUE]");
}

Option& Command::option(const std::string& names, std::string& value, const std::string& help) {
  return add(names, help, value,
             [&value](const std::string& word) { return set_text(value, word); })
      .needs_text();
}

Option& Command::option(const std::string& names, std::optional<std::string>& value,
                        const std::string& help) {
  return add(names, help, value.value_or(""),
             [&value](const std::string& word) { return set_text(value.emplace(), word); });
}

Option& Command::option(const std::string& names, double& value, const std::string& help) {
  return add(names, help, fmt::format("{}", value),
             [&value](const std::string& word) { return set_real(value, word); })
      .value_name("SECONDS");
}

Option& Command::option(const std::string& names, std::vector<std::string>& values,
                        const std::string& help) {
  return add(names, help, "",
             [&values](const std::string& word) {
               values.push_back(word);
               return std::string();
             })
      .collects()
      .needs_text();
}

Option& Command::number(const std::string& names, std::function<void(std::uint64_t)> set,
                        const std::string& default_text, std::uint64_t most,
                        const std::string& help) {
  const std::size_t index = options_.size();
  auto take = [this, index, most, set = std::move(set)](const std::string& word) {
    const auto [low, high] = options_[index].range_.value_or(std::pair(std::uint64_t{0}, most));
    const char* const end = word.data() + word.size();
    std::uint64_t read = 0;
    const auto [stop, error] = std::from_chars(word.data(), end, read);
    if (error != std::errc{} || stop != end || read < low || read > high)
      return fmt::format("'{}' must be a whole number from {} to {}", word, low, high);
    set(read);
    return std::string();
  };
  return add(names, help, default_text, std::move(take)).value_name("N");
}

}  // namespace teeio::cli
