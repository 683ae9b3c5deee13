#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "run/supervisor.h"

namespace CLI {
class App;
}

namespace teeio::cli {

/// What the user said after `teeio run`.
struct RunArguments {
  run::Options supervisor;
  std::string machine;  ///< --machine FILE; empty: the built-in one
  bool chart = false;   ///< --chart
  std::string trace;    ///< --trace FILE.json; empty: none
  enum class Rules : std::uint8_t { kError, kWarn, kOff } rules = Rules::kError;
  int error_exit_code = 99;  ///< --error-exitcode, 0–255
};

/// Cuts "--" and all after it off the words of a command line. What follows
/// is a program's: CLI11 must not see it, it would take an argument "[a]" apart.
[[nodiscard]] std::vector<std::string> take_program(std::vector<std::string>& words);

/// Declares the subcommand `run` on `app`. When the user chose it, `body` runs
/// inside app.parse() and its result is put in `status`; both outlive `app`.
/// `program`: what take_program() gave, if the caller used it.
void add_run_command(CLI::App& app, std::function<int(const RunArguments&)> body, int& status,
                     std::vector<std::string> program = {});

}  // namespace teeio::cli
