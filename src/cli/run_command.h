#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/pictures.h"
#include "rules/selection.h"
#include "run/injection.h"
#include "run/supervisor.h"

namespace teeio::cli {

class Command;

/// What the user said after `teeio run`.
struct RunArguments {
  run::Options supervisor;
  std::string machine;                     ///< --machine FILE; empty: the built-in one
  PictureArguments pictures;               ///< --chart, --chart-file, --trace
  bool why = false;                        ///< --why
  std::vector<std::string> reports;        ///< --report FILE.json or FILE.xml …
  std::string log;                         ///< --log-file FILE; empty: stderr
  std::string call_log;                    ///< -o FILE: the lines of -v; empty: as the others
  rules::Selection rules;                  ///< --rules
  std::vector<run::Injection> injections;  ///< --inject SPEC …
  std::vector<std::string> suppressions;   ///< --suppressions FILE …
  std::uint8_t error_exit_code = 99;       ///< --error-exitcode
};

inline constexpr std::string_view kOptionsVariable = "TEEIO_OPTIONS";
/// What it holds; nullptr when it is not set.
[[nodiscard]] const char* environment_options();

/// Puts the options of $TEEIO_OPTIONS before those of `run`, if that is the command:
/// words split at blanks, with quotes as a shell has them. Gives what is wrong.
/// `run` says which words those are.
[[nodiscard]] std::string add_environment_options(const Command& run,
                                                  std::vector<std::string>& words);

/// Declares `run` below `root`; chosen, it does `body`.
Command& add_run_command(Command& root, std::function<int(const RunArguments&)> body);

}  // namespace teeio::cli
