#include <fmt/format.h>

#include <memory>

#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/load_machine.h"
#include "cli/options.h"
#include "cli/print.h"

namespace teeio::cli {

namespace {

std::string builtin_names() {
  const auto names = machine::builtin_machines();
  return any_of({names.begin(), names.end()});
}

int show_machine(const std::string& name, bool toml) {
  if (!toml) {
    const auto made = load_machine(name);
    if (made == nullptr) return 1;
    print("{}", made->show());
    return 0;
  }
  const std::string_view builtin = machine::builtin_machine(machine::builtin_name(name));
  if (builtin.empty())
    return wrong_use("machine show", fmt::format("--toml: '{}' must be {}", name, builtin_names()));
  print_text(builtin);
  return 0;
}

/// 0 when each of them can be made.
int check_machines(const std::vector<std::string>& files) {
  bool good = true;
  for (const std::string& file : files) {
    const std::string problem = machine_problem(file);
    good = good && problem.empty();
    print("{}\n", problem.empty() ? file + ": ok" : problem);
  }
  return good ? 0 : 1;
}

}  // namespace

void add_machine_command(Command& root) {
  struct Words {
    std::string file;
    std::vector<std::string> files;
    bool toml = false;
  };
  auto words = std::make_shared<Words>();
  Command& machine = root.command("machine", "Look at machine files");
  Command& show = machine.command("show", "Print a machine as a PCI tree");
  show.positional("FILE", words->file, "Machine file, or the name of a built-in one");
  show.flag("--toml", words->toml, "Print the file of a built-in machine, to start one's own");
  show.runs([words] { return show_machine(words->file, words->toml); });
  Command& check = machine.command("check", "Say of each machine file what is wrong with it");
  check.positionals("FILE", words->files, "Machine files, or names of built-in ones").required();
  check.runs([words] { return check_machines(words->files); });
  machine.command("list", "Print the names of the built-in machines").runs([] {
    for (const std::string_view name : machine::builtin_machines()) print("{}\n", name);
    return 0;
  });
}

}  // namespace teeio::cli
