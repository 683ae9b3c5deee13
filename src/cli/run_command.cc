#include "cli/run_command.h"

#include <memory>
#include <optional>
#include <utility>

#include "cli/options.h"

namespace teeio::cli {
namespace {

using Rules = RunArguments::Rules;

Rules rules_named(const std::string& word) {
  if (word == "warn") return Rules::kWarn;
  return word == "off" ? Rules::kOff : Rules::kError;
}

}  // namespace

void add_run_command(Command& root, std::function<int(const RunArguments&)> body) {
  struct Words {
    RunArguments arguments;
    std::string rules = "error";
    std::optional<std::string> chart;
  };
  auto words = std::make_shared<Words>();
  RunArguments& arguments = words->arguments;
  Command& run =
      root.command("run", "Run a program on a TEE-I/O host that exists in this process only");
  run.option("--machine", arguments.machine, "Machine file, or the name of a built-in one")
      .value_name("FILE");
  PictureArguments& pictures = arguments.pictures;
  run.flag_with_value("--chart", words->chart,
                      "Draw the run as a sequence chart: life (default), calls, all, an event "
                      "(772) or a rule (R4)");
  run.option("-w,--width", pictures.width, "Columns of the chart").range(40, 1000);
  run.option("--chart-file", pictures.files, "Write the chart to a .txt, .html, .svg or .mmd")
      .value_name("FILE");
  run.flag("-v,--verbose", arguments.supervisor.trace_calls, "One line a call, like strace");
  run.option("--trace", pictures.trace, "Write the events as Chrome/Perfetto JSON")
      .value_name("FILE");
  run.option("--rules", words->rules, "What a broken life-cycle rule does")
      .choices({"error", "warn", "off"})
      .shows_default();
  run.option("--error-exitcode", arguments.error_exit_code, "Exit status when a rule was broken")
      .range(0, 255)
      .shows_default();
  run.flag("--host-kvm", arguments.supervisor.host_kvm, "Leave the real /dev/kvm alone");
  run.program("PROGRAM", arguments.supervisor.command,
              "The program, looked up in PATH, and its arguments");
  run.runs([words, body = std::move(body)] {
    words->arguments.rules = rules_named(words->rules);
    PictureArguments& wanted = words->arguments.pictures;
    if (words->chart) wanted.chart = words->chart->empty() ? "life" : *words->chart;
    if (const std::string why = check_pictures(wanted); !why.empty()) return wrong_use("run", why);
    return body(words->arguments);
  });
}

}  // namespace teeio::cli
