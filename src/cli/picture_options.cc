#include "cli/picture_options.h"

namespace teeio::cli {

void PictureOptions::add_charts(Command& command) {
  command.flag_with_value("--chart", chart_,
                          "Draw the run as a sequence chart: life (default), calls, all, an event "
                          "(772) or a rule (R4)");
  width_ = &command.option("-w,--width", arguments_.width, "Columns of the chart, 60 at least")
                .range(60, 1000);  // all lanes, and words that are not cut after each letter
  command.option("--chart-file", arguments_.files, "Write the chart to a .txt, .html, .svg or .mmd")
      .value_name("FILE");
}

void PictureOptions::add_trace(Command& command) {
  command.option("--trace", arguments_.trace, "Write the events as Chrome/Perfetto JSON")
      .value_name("FILE");
}

std::string PictureOptions::check(LoneWidth lone) {
  if (chart_) arguments_.chart = chart_->empty() ? "life" : *chart_;
  if (std::string why = check_pictures(arguments_); !why.empty()) return why;
  if (width_->given() && lone == LoneWidth::kRefused && !draws_text(arguments_))
    return "--width needs --chart, or a --chart-file that ends in .txt";
  return {};
}

}  // namespace teeio::cli
