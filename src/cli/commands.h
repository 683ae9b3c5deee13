#pragma once

#include <string>
#include <vector>

namespace teeio::cli {

class Command;
struct RunArguments;

// Each declares a command below `root`, which does its work when the user chose it.
void add_abi_command(Command& root);       ///< `teeio abi`
void add_decode_command(Command& root);    ///< `teeio decode`
void add_doctor_command(Command& root);    ///< `teeio doctor`
void add_evidence_command(Command& root);  ///< `teeio evidence`
void add_explore_command(Command& root);   ///< `teeio explore`
void add_machine_command(Command& root);   ///< `teeio machine show`
void add_pki_command(Command& root);       ///< `teeio pki new`
void add_serve_command(Command& root);     ///< `teeio serve`
void add_sweep_command(Command& root);     ///< `teeio sweep`
void add_validate_command(Command& root);  ///< `teeio validate`

/// All commands but `run`, in the order of the help. Each of the two programs that cli
/// makes has its own: every_command.cc and first_commands.cc.
void add_other_commands(Command& root);

/// Where the command of these words is, if this program names it and does not have it.
[[nodiscard]] std::string why_elsewhere(const std::vector<std::string>& words);

/// `teeio run`, after add_run_command() has read the command line: makes the
/// machine, runs the program, judges and draws. Gives the exit status.
[[nodiscard]] int run_program(const RunArguments& arguments);

}  // namespace teeio::cli
