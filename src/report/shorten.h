#pragma once

#include <cstddef>

#include "report/chart.h"

namespace teeio::report {

/// The chart in at most `lines` lines of draw_chart(), as far as that can be had without leaving
/// anything out; one that has no more is left as it is. In this order, until it is short enough:
///
/// - A phase that went as an earlier one did, perhaps for another function or VM, has its name and
///   numbers alone: "== bind: 1247–1537 as 820–1120, 0000:01:00.2 VM 2 ==".
/// - A state that a call brought about where it arrived stands in the call's row, behind a "*".
/// - So do states of one lane that follow each other.
/// - Calls that each are all that the one before did are one row, if no two cross the same lanes:
///   "|---->|->|  IOMMU_VDEVICE_TSM_OP > bind".
///
/// What was refused and what broke a rule has a row of its own, and its phase is never one line.
[[nodiscard]] Chart shorten(Chart chart, const ChartOptions& options, std::size_t lines);

}  // namespace teeio::report
