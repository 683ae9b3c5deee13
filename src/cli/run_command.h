#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/pictures.h"
#include "run/supervisor.h"

namespace teeio::cli {

class Command;

/// What the user said after `teeio run`.
struct RunArguments {
  run::Options supervisor;
  std::string machine;  ///< --machine FILE; empty: the built-in one
  PictureArguments pictures;
  enum class Rules : std::uint8_t { kError, kWarn, kOff } rules = Rules::kError;
  std::uint8_t error_exit_code = 99;  ///< --error-exitcode
};

/// Declares `run` below `root`; chosen, it does `body`.
void add_run_command(Command& root, std::function<int(const RunArguments&)> body);

}  // namespace teeio::cli
