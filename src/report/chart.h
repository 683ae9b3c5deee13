#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "object/event.h"
#include "report/picture.h"

namespace teeio::report {

/// One numbered step of a chart: an arrow between two lanes, or a note in one.
struct ChartStep {
  std::uint64_t number = 0;         ///< Event::seq of the first event: the trace's `ts`
  std::vector<std::uint64_t> seqs;  ///< the events drawn here, ascending; more than one if folded
  object::Lane from = object::Lane::kVmm;
  object::Lane to = object::Lane::kVmm;
  bool note = false;       ///< a state that `from` reached
  bool refused = false;    ///< drawn as an arrow that does not arrive
  bool expected = false;   ///< an answer other than "ok" that is part of the normal course
  unsigned depth = 0;      ///< calls in progress around it
  std::string label;       ///< name, subject, outcome; "×256 (12–523)" if folded
  std::string_view phase;  ///< the name of the phase that begins here; empty in its midst
  std::string like;        ///< not empty: the whole phase, without a row: "1247–1537 as 820–1120"
  std::string mark;        ///< the rules that were broken here: "R2, R4"
  std::vector<std::pair<object::Lane, object::Lane>> then = {};  ///< further calls in the row
  std::optional<Bdf> function = {};                              ///< which the first event names
  std::uint32_t vm = 0;                                          ///< likewise; 0: none
};

/// A chart: its steps, and what its first and last lines say.
struct Chart {
  std::string title;  ///< "0000:01:00.0, VM 1": what labels leave out; may be empty
  std::vector<ChartStep> steps;
  std::string closing;  ///< how the run ended; may be empty
};

struct ChartOptions {
  bool colour = false;      ///< ANSI colours; the caller asks isatty()
  std::size_t width = 120;  ///< columns
  bool narrow = false;      ///< only the lanes that occur, three columns apart
};

/// The steps of a run, in order of events, repetitions folded (fold.h). Every
/// event belongs to exactly one step.
[[nodiscard]] std::vector<ChartStep> chart_steps(const std::deque<object::Event>& events);

/// The chart of a level (picture.h). Phases stand at kLife and kCalls; labels leave
/// out the function and the VM that the title names.
[[nodiscard]] Chart make_chart(const std::deque<object::Event>& events, const RunInfo& info,
                               Level level);

/// About ten steps of the whole chart around each of the events `seqs`; no steps if
/// none of them is an event of the run.
[[nodiscard]] Chart make_chart_around(const std::deque<object::Event>& events, const RunInfo& info,
                                      const std::vector<std::uint64_t>& seqs);

/// The chart in text: lines with the lanes' names, then one line a step, and more
/// where its label is long. `-->` is a call, `--x` a refused one, `~~>` one with an
/// answer that is no "ok" and no failure, `o` a call within its lane, `*` a state
/// that was reached, `<== R4` a broken rule; labels are indented by nesting.
[[nodiscard]] std::string draw_chart(const Chart& chart, const ChartOptions& options);

/// Columns for a label and what it is indented by, less than which it takes one line.
[[nodiscard]] std::size_t label_room(const Chart& chart, const ChartOptions& options);

/// draw_chart() of steps alone.
[[nodiscard]] std::string draw_chart(const std::vector<ChartStep>& steps,
                                     const ChartOptions& options);

}  // namespace teeio::report
