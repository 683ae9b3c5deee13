#include "cli/load_machine.h"

#include <expected>

#include "cli/print.h"
#include "machine/tee_cards.h"

namespace teeio::cli {
namespace {

std::expected<std::unique_ptr<machine::Machine>, std::string> make(const std::string& file) {
  const auto config = machine::find_config(file);
  if (!config) return std::unexpected(config.error());
  if (std::string problem = machine::storage_problem(*config); !problem.empty())
    return std::unexpected(std::move(problem));
  auto made = machine::Machine::create(*config);
  if (made) return std::move(*made);
  return std::unexpected(fmt::format("the machine {} does not start: {}: {}", config->name,
                                     errno_name(made.error().code), made.error().why));
}

}  // namespace

std::unique_ptr<machine::Machine> load_machine(const std::string& file) {
  auto made = make(file);
  if (made) return std::move(*made);
  complain("teeio: {}\n", made.error());
  return nullptr;
}

std::string machine_problem(const std::string& file) {
  const auto made = make(file);
  return made ? std::string() : made.error();
}

}  // namespace teeio::cli
