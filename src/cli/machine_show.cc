#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/load_machine.h"
#include "cli/options.h"

namespace teeio::cli {

void add_machine_command(Command& root) {
  Command& machine = root.command("machine", "Look at machine files");
  auto file = std::make_shared<std::string>();
  Command& show = machine.command("show", "Print a machine as a PCI tree");
  show.positional("FILE", *file, "Machine file, or the name of a built-in one");
  show.runs([file] {
    const auto made = load_machine(*file);
    if (made != nullptr) fmt::print("{}", made->show());
    return made == nullptr ? 1 : 0;
  });
  machine.command("list", "Print the names of the built-in machines").runs([] {
    for (const std::string_view name : machine::builtin_machines()) fmt::print("{}\n", name);
    return 0;
  });
}

}  // namespace teeio::cli
