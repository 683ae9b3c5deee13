#include <cstdio>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/run_command.h"

int main(int argc, char** argv) {
  teeio::cli::CommandLine line(
      "Run programs on a TEE-I/O host (VFIO, iommufd, KVM, TSM) that does not exist",
      "teeio " TEEIO_VERSION);
  teeio::cli::Command& root = line.root();
  teeio::cli::add_run_command(root, teeio::cli::run_program);
  teeio::cli::add_explore_command(root);
  teeio::cli::add_machine_command(root);
  teeio::cli::add_pki_command(root);
  teeio::cli::add_serve_command(root);
  teeio::cli::add_validate_command(root);
  teeio::cli::add_decode_command(root);
  teeio::cli::add_abi_command(root);
  teeio::cli::add_doctor_command(root);
  std::vector<std::string> words(argv + 1, argv + argc);
  if (const std::string why = teeio::cli::add_environment_options(words); !why.empty())
    return teeio::cli::wrong_use("run", why);
  const int status = line.run(std::move(words));
  return std::fflush(stdout) == 0 ? status : 1;
}
