#pragma once

#include <string>

#include "report/chart.h"

namespace teeio::report {

/// A chart as an SVG picture, for a page or a slide: as high as it has steps, in a
/// font of the viewer's, dark where the viewer is dark. Labels are not broken;
/// what is longer than the picture is wide is cut, with its whole text as title.
[[nodiscard]] std::string draw_svg(const Chart& chart);

}  // namespace teeio::report
