#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/options.h"

namespace teeio::cli {
namespace {

constexpr std::array<std::string_view, 6> kElsewhere = {"explore",  "sweep",  "serve",
                                                        "validate", "decode", "evidence"};

void add_elsewhere(Command& root, std::string_view name) {
  root.command(std::string(name), "Not in this program: scripts/build makes all of teeio");
}

}  // namespace

void add_other_commands(Command& root) {
  for (const std::string_view name : kElsewhere) add_elsewhere(root, name);
  add_machine_command(root);
  add_pki_command(root);
  add_abi_command(root);
  add_doctor_command(root);
}

std::string why_elsewhere(const std::vector<std::string>& words) {
  const std::size_t at = !words.empty() && words[0] == "help" ? 1 : 0;
  if (words.size() <= at || std::ranges::find(kElsewhere, words[at]) == kElsewhere.end()) return "";
  return fmt::format(
      "{0}: this is the program that scripts/demo builds, without {0}; "
      "scripts/build makes build/release/teeio, which has it",
      words[at]);
}

}  // namespace teeio::cli
