#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/load_machine.h"

namespace teeio::cli {

void add_machine_command(CLI::App& app, int& status) {
  CLI::App* const machine = app.add_subcommand("machine", "Look at machine files");
  machine->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  CLI::App* const show = machine->add_subcommand("show", "Print a machine as a PCI tree");
  show->add_option("FILE", *file, "Machine file, or the name of a built-in one")->type_name("");
  show->callback([file, &status] {
    const auto made = load_machine(*file);
    if (made != nullptr) fmt::print("{}", made->show());
    status = made == nullptr ? 1 : 0;
  });
  machine->add_subcommand("list", "Print the names of the built-in machines")->callback([&status] {
    for (const std::string_view name : machine::builtin_machines()) fmt::print("{}\n", name);
    status = 0;
  });
}

}  // namespace teeio::cli
