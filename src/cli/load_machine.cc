#include "cli/load_machine.h"

#include <fmt/format.h>

#include <cstdio>

namespace teeio::cli {

std::unique_ptr<machine::Machine> load_machine(const std::string& file) {
  const std::string_view name = file.empty() ? machine::kDefaultMachine : std::string_view(file);
  const std::string_view builtin = machine::builtin_machine(name);
  const auto config =
      builtin.empty() ? machine::load_config(file) : machine::parse_config(builtin, name);
  if (!config) {
    fmt::print(stderr, "teeio: {}\n", config.error());
    return nullptr;
  }
  auto made = machine::Machine::create(*config);
  if (made) return std::move(*made);
  fmt::print(stderr, "teeio: the machine {} does not start: {}: {}\n", config->name,
             errno_name(made.error().code), made.error().why);
  return nullptr;
}

}  // namespace teeio::cli
