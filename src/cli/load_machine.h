#pragma once

#include <memory>
#include <string>

#include "machine/machine.h"

namespace teeio::cli {

/// The machine of a file, or the built-in one of that name; the default machine
/// for "". Null after saying on stderr what is wrong with it.
[[nodiscard]] std::unique_ptr<machine::Machine> load_machine(const std::string& file);

/// What is wrong with the machine of that file or name, in one line; nothing if it
/// can be made.
[[nodiscard]] std::string machine_problem(const std::string& file);

}  // namespace teeio::cli
