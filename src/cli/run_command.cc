#include "cli/run_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

namespace teeio::cli {

void add_run_command(CLI::App& app, std::function<int(const RunArguments&)> body, int& status,
                     std::vector<std::string> program) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* const run =
      app.add_subcommand("run", "Run a program on a TEE-I/O host that exists in this process only");
  run->add_option("--machine", arguments->machine, "Machine file (default: built in)")
      ->check(CLI::ExistingFile);
  run->add_flag("--chart", arguments->chart, "Draw the run as a sequence chart");
  run->add_flag("-v,--verbose", arguments->supervisor.trace_calls, "One line a call, like strace");
  run->add_option("--trace", arguments->trace, "Write the events as Chrome/Perfetto JSON");
  using Rules = RunArguments::Rules;
  static const std::map<std::string, Rules> kRules = {
      {"error", Rules::kError}, {"warn", Rules::kWarn}, {"off", Rules::kOff}};
  run->add_option("--rules", arguments->rules, "What a broken life-cycle rule does")
      ->transform(CLI::CheckedTransformer(kRules).description("error|warn|off"))
      ->type_name("");
  run->add_option("--error-exitcode", arguments->error_exit_code,
                  "Exit status when a rule was broken (default: 99)")
      ->check(CLI::Range(0, 255));
  run->add_flag("--host-kvm", arguments->supervisor.host_kvm, "Leave the real /dev/kvm alone");
  auto words = std::make_shared<std::vector<std::string>>();
  run->add_option("PROGRAM", *words, "The program, looked up in PATH, and its arguments, after --")
      ->type_name("");
  run->callback([arguments, words, program = std::move(program), body = std::move(body), &status] {
    std::vector<std::string>& command = arguments->supervisor.command;
    command = *words;
    command.insert(command.end(), program.begin(), program.end());
    if (command.empty()) throw CLI::RequiredError("PROGRAM");
    status = body(*arguments);
  });
}

std::vector<std::string> take_program(std::vector<std::string>& words) {
  const auto mark = std::ranges::find(words, "--");
  if (mark == words.end()) return {};
  std::vector<std::string> program(mark + 1, words.end());
  words.erase(mark, words.end());
  return program;
}

}  // namespace teeio::cli
