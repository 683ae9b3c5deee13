#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/explore_arguments.h"
#include "cli/run_command.h"

namespace {

/// A wrong command line, as env(1) and timeout(1) have it: teeio failed before
/// any program began.
constexpr int kUsageError = 125;

int parse_and_run(std::vector<std::string> words) {
  // explore runs no program whose status could be mistaken for its own.
  const bool explores = !words.empty() && words[0] == "explore";
  CLI::App app("Run programs on a TEE-I/O host (VFIO, iommufd, KVM, TSM) that does not exist");
  app.name("teeio");
  app.set_version_flag("--version", "teeio " TEEIO_VERSION);
  app.require_subcommand(1);
  int status = 0;
  teeio::cli::add_run_command(app, teeio::cli::run_program, status,
                              teeio::cli::take_program(words));
  teeio::cli::add_explore_command(app, status);
  teeio::cli::add_machine_command(app, status);
  teeio::cli::add_pki_command(app, status);
  teeio::cli::add_serve_command(app, status);
  teeio::cli::add_validate_command(app, status);
  teeio::cli::add_decode_command(app, status);
  teeio::cli::add_abi_command(app, status);
  teeio::cli::add_doctor_command(app, status);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) == 0) return 0;
    return explores ? teeio::cli::kExploreUsage : kUsageError;
  }
  return std::fflush(stdout) == 0 ? status : 1;
}

}  // namespace

int main(int argc, char** argv) { return parse_and_run({argv + 1, argv + argc}); }
