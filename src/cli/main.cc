#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/commands.h"

namespace {

/// A wrong command line, as env(1) and timeout(1) have it: teeio failed before
/// any program began.
constexpr int kUsageError = 125;

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Run programs on a TEE-I/O host (VFIO, iommufd, KVM, TSM) that does not exist");
  app.name("teeio");
  app.set_version_flag("--version", "teeio " TEEIO_VERSION);
  app.require_subcommand(1);
  int status = 0;
  teeio::cli::add_run(app, status);
  teeio::cli::add_machine_command(app, status);
  teeio::cli::add_abi_command(app, status);
  teeio::cli::add_doctor_command(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }
  return std::fflush(stdout) == 0 ? status : 1;
}
