#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/options.h"
#include "cli/pictures.h"

namespace teeio::cli {

/// The options that say what the user wants to see of a run, as words.
///
/// Lifetime: outlives the command's run.
class PictureOptions {
 public:
  /// --chart and --width, --chart-file.
  void add_charts(Command& command);
  void add_trace(Command& command);
  /// Those options: for others that they need, or exclude.
  [[nodiscard]] bool given() const {
    return chart_.has_value() || !arguments_.files.empty() || !arguments_.trace.empty();
  }
  /// A width without text to draw is no mistake where words for all runs may stand.
  enum class LoneWidth : std::uint8_t { kRefused, kIgnored };
  /// What is wrong with them; empty: arguments() has what is wanted.
  [[nodiscard]] std::string check(LoneWidth lone);
  [[nodiscard]] const PictureArguments& arguments() const { return arguments_; }

 private:
  PictureArguments arguments_;
  std::optional<std::string> chart_;
  const Option* width_ = nullptr;
};

}  // namespace teeio::cli
