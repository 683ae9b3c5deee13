#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "object/event.h"
#include "report/picture.h"
#include "rules/violation.h"

namespace teeio::cli {

/// What the user wants to see of a run.
struct PictureArguments {
  std::string chart;               ///< --chart: "life", "calls", "all", "772", "R4"; empty: none
  std::uint32_t width = 0;         ///< -w: columns; 0: the level's own
  std::vector<std::string> files;  ///< --chart-file, by ending: .txt .html .svg .mmd
  std::string trace;               ///< --trace FILE.json; empty: none
};

/// What is wrong with them: a chart that there is not, a file whose ending says no
/// kind of picture. Empty if nothing is.
[[nodiscard]] std::string check_pictures(const PictureArguments& arguments);

/// Whether one of them is text, whose columns can be chosen.
[[nodiscard]] bool draws_text(const PictureArguments& arguments);

/// Broken rules as pictures show them.
[[nodiscard]] std::vector<report::BrokenRule> to_pictures(
    const std::vector<rules::Violation>& violations);

/// The line that says how to see a broken rule drawn; empty if none was broken by
/// an event, or if the chart shows it already.
[[nodiscard]] std::string chart_hint(const PictureArguments& arguments,
                                     const std::vector<report::BrokenRule>& broken);

/// The pictures of one run: their files are opened before it and written after it.
class Pictures {
 public:
  /// Null after saying on stderr which file cannot be written.
  [[nodiscard]] static std::optional<Pictures> open(const PictureArguments& arguments);

  /// Whether the events must be kept.
  [[nodiscard]] bool wanted() const { return !arguments_.chart.empty() || !files_.empty(); }
  /// The chart to the descriptor `words`, the others to their files. False after saying
  /// there which file is not whole.
  [[nodiscard]] bool draw(const std::deque<object::Event>& events, const report::RunInfo& info,
                          int words);

 private:
  struct Target {
    std::string name;
    bool trace = false;
    OutputFile file;
  };

  explicit Pictures(PictureArguments arguments) : arguments_(std::move(arguments)) {}
  [[nodiscard]] bool add(const std::string& name, bool trace);
  [[nodiscard]] std::string picture(const Target& target, const std::deque<object::Event>& events,
                                    const report::RunInfo& info) const;

  PictureArguments arguments_;
  std::vector<Target> files_;
};

}  // namespace teeio::cli
