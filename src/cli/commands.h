#pragma once

namespace CLI {
class App;
}

namespace teeio::cli {

struct RunArguments;

// Each declares a subcommand on `app`. When the user chose it, its work is done
// inside app.parse() and the exit status put in `status`. Both outlive `app`.
void add_abi_command(CLI::App& app, int& status);       ///< `teeio abi`
void add_decode_command(CLI::App& app, int& status);    ///< `teeio decode`
void add_doctor_command(CLI::App& app, int& status);    ///< `teeio doctor`
void add_explore_command(CLI::App& app, int& status);   ///< `teeio explore`
void add_machine_command(CLI::App& app, int& status);   ///< `teeio machine show`
void add_pki_command(CLI::App& app, int& status);       ///< `teeio pki new`
void add_serve_command(CLI::App& app, int& status);     ///< `teeio serve`
void add_validate_command(CLI::App& app, int& status);  ///< `teeio validate`

/// `teeio run`, after add_run_command() has read the command line: makes the
/// machine, runs the program, judges and draws. Gives the exit status.
[[nodiscard]] int run_program(const RunArguments& arguments);

}  // namespace teeio::cli
