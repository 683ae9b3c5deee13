#include "cli/explore_progress.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "cli/explore_arguments.h"
#include "cli/options.h"
#include "cli/print.h"
#include "explore/shards_progress.h"

namespace teeio::cli {
namespace {

int show_progress_of(const std::vector<std::string>& files) {
  const auto complain = [](const std::string& why) {
    complain_text(fmt::format("teeio explore progress: {}\n", why));
    return kExploreUsage;
  };
  std::vector<explore::Saved> shards;
  for (const std::string& file : files) {
    const auto text = read_file(file);
    if (!text) return complain(text.error());
    auto saved = explore::parse_saved(*text);
    if (!saved) return complain(file + ": " + saved.error());
    shards.push_back(std::move(*saved));
  }
  const auto lines = explore::shards_progress(shards);
  if (!lines) return complain(lines.error());
  print("{}", *lines);
  return kExploreHolds;
}

}  // namespace

void declare_explore_progress(Command& explore) {
  auto files = std::make_shared<std::vector<std::string>>();
  Command& c = explore.command("progress", "Say how far shards are that run elsewhere");
  c.positionals("FILE", *files, "What shards keep with --save or --resume").required();
  c.runs([files] { return show_progress_of(*files); });
}

}  // namespace teeio::cli
