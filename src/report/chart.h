#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "object/event.h"

namespace teeio::report {

/// One numbered step of a chart: an arrow between two lanes, or a note in one.
struct ChartStep {
  std::uint64_t number = 0;         ///< Event::seq of the first event: the trace's `ts`
  std::vector<std::uint64_t> seqs;  ///< the events drawn here, ascending; more than one if folded
  object::Lane from = object::Lane::kVmm;
  object::Lane to = object::Lane::kVmm;
  bool note = false;     ///< a state that `from` reached
  bool refused = false;  ///< drawn as an arrow that does not arrive
  unsigned depth = 0;    ///< calls in progress around it
  std::string label;     ///< name, subject, outcome; "×256 (12–523)" if folded
};

struct ChartOptions {
  bool colour = false;      ///< ANSI colours; the caller asks isatty()
  std::size_t width = 120;  ///< columns, at least 100
};

/// The steps of a run, in order of events, repetitions folded (fold.h). Every
/// event belongs to exactly one step.
[[nodiscard]] std::vector<ChartStep> chart_steps(const std::deque<object::Event>& events);

/// The chart: a header line with the lanes, then one line a step, and more where
/// its label is long. `-->` is a call, `--x` a refused one, `o` a call within its
/// lane, `*` a state that was reached; labels are indented by nesting.
[[nodiscard]] std::string draw_chart(const std::vector<ChartStep>& steps,
                                     const ChartOptions& options);

}  // namespace teeio::report
