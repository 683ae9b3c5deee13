#include <string>
#include <vector>

#include "cli/commands.h"

namespace teeio::cli {

void add_other_commands(Command& root) {
  add_explore_command(root);
  add_sweep_command(root);
  add_machine_command(root);
  add_pki_command(root);
  add_serve_command(root);
  add_validate_command(root);
  add_decode_command(root);
  add_evidence_command(root);
  add_abi_command(root);
  add_doctor_command(root);
}

std::string why_elsewhere(const std::vector<std::string>& /*words*/) { return ""; }

}  // namespace teeio::cli
