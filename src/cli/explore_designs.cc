#include "cli/explore_designs.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "cli/explore_output.h"
#include "cli/print.h"
#include "explore/jobs/design_matrix.h"
#include "explore/jobs/workers.h"
#include "explore/scenario/designs.h"

namespace teeio::cli {
namespace {

using explore::DesignMatrix;

/// A cell of a table: what would end it is taken out.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

/// "vfio", "mainline", …: a design's value of each setting.
std::string settings_of(const std::string& design) {
  std::string text;
  for (const explore::DesignAxis& axis : explore::design_axes()) {
    const std::string key = ',' + std::string(axis.key) + '=';
    const std::size_t at = design.find(key);
    std::string value(axis.values.front());
    if (at != std::string::npos) {
      const std::size_t from = at + key.size();
      value = design.substr(from, design.find(',', from) - from);
    }
    const bool usual = value == axis.values.front() || axis.key == "bind_owner";
    text += usual ? ' ' + value + " |" : " **" + value + "** |";
  }
  return text;
}

std::string verdict_of(const DesignMatrix::Row& row) {
  if (!row.shortest)
    return fmt::format("holds | {} proved, {} bounded; {} schedules | | |", row.proved, row.bounded,
                       row.schedules);
  std::string rules;
  for (const auto& [rule, count] : row.rules)
    rules += fmt::format("{}{} ({})", rules.empty() ? "" : ", ", rule, count);
  const DesignMatrix::Broken& b = *row.shortest;
  return fmt::format("**broken**: {} | {} proved, {} bounded; {} schedules | {} {}: {} | `{}` |",
                     rules, row.proved, row.bounded, row.schedules, b.scenario, cell(b.what),
                     cell(b.words), b.replay);
}

std::string page_of(const DesignMatrix& matrix, std::uint64_t most_schedules) {
  const auto& designs = explore::all_designs();
  std::string text = fmt::format(
      "## The table\n\n"
      "{} scenarios on {} designs, at most {} schedules each by dynamic partial-order reduction. "
      "*Proved*: no order is left that was not run or is equal to one that was. *Bounded*: nothing "
      "was found in so many. Schedules are those run for the design itself: a scenario that never "
      "looked at the settings in which two designs differ is run once for both. Of a broken design "
      "the rules are given with how many scenarios break them, and the shortest schedule; the "
      "command shows it again.\n",
      matrix.scenarios, designs.size(), most_schedules);
  for (const explore::DesignFirmware& firmware : explore::design_firmwares()) {
    text += fmt::format("\n### {}\n\n", firmware.name);
    if (!firmware.skipped_because.empty()) {
      text += fmt::format("Skipped: {}.\n", firmware.skipped_because);
      continue;
    }
    text += "|";
    for (const explore::DesignAxis& axis : explore::design_axes())
      text += fmt::format(" {} |", axis.key);
    text += " verdict | scenarios that hold | shortest bad schedule | replay |\n|";
    for (std::size_t i = 0; i < explore::design_axes().size() + 4; ++i) text += "---|";
    text += '\n';
    for (std::size_t i = 0; i < designs.size(); ++i)
      if (designs[i].name.starts_with(firmware.name))
        text += fmt::format("|{} {}\n", settings_of(designs[i].name), verdict_of(matrix.rows[i]));
  }
  return text;
}

}  // namespace

std::string written_by_hand(const std::string& path, const std::string& instead) {
  const auto page = read_file(path);
  const std::size_t end = page ? page->find(kGenerated) : std::string::npos;
  return end == std::string::npos ? instead : page->substr(0, end);
}

int explore_designs(const ExploreArguments& arguments) {
  const explore::Options& options = arguments.options;
  const std::string path = arguments.designs.value_or("");
  const std::string by_hand = path.empty() ? "" : written_by_hand(path, "# Designs\n\n");
  std::optional<OutputFile> file;
  if (!path.empty()) {
    auto opened = OutputFile::open(path);
    if (!opened) {
      complain("teeio explore: {}\n", opened.error());
      return kExploreUsage;
    }
    file.emplace(std::move(*opened));
  }
  ProgressLine progress(arguments.progress);
  const DesignMatrix matrix = explore::explore_all_designs(
      options, arguments.jobs == 0 ? explore::processors() : arguments.jobs,
      [&progress](std::size_t done, std::size_t all) {
        progress.show(fmt::format("{}/{} scenarios on all designs", done, all));
      });
  progress.clear();
  if (matrix.signal != 0) {
    complain("teeio explore: stopped by {}: no table\n", explore::signal_name(matrix.signal));
    return kExploreSignal + matrix.signal;
  }
  if (!matrix.crashed.empty()) {
    complain("teeio explore --designs: {}", matrix.crashed);
    return kExploreFound;
  }
  const std::string page = page_of(matrix, options.max_schedules);
  if (!file) {
    print("{}\n", page);
  } else if (const auto written = file->write(by_hand + std::string(kGenerated) + page); !written) {
    complain("teeio explore: {}\n", written.error());
    return kExploreUsage;
  }
  std::size_t holds = 0;
  for (const DesignMatrix::Row& row : matrix.rows) holds += row.broken == 0 ? 1 : 0;
  print("{} designs: {} hold, {} broken{}\n", matrix.rows.size(), holds, matrix.rows.size() - holds,
        path.empty() ? "" : "; see " + path);
  return kExploreHolds;
}

}  // namespace teeio::cli
