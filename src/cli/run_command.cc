#include "cli/run_command.h"

#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "cli/injection_words.h"
#include "cli/options.h"
#include "cli/output_files.h"
#include "cli/picture_options.h"
#include "cli/trace_set.h"

namespace teeio::cli {
namespace {

/// What stands there is for whichever runs it suits.
bool has_environment_options() { return environment_options() != nullptr; }

/// Words of `text` as a shell splits them, without expansions; nullopt for an open quote.
std::optional<std::vector<std::string>> split(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (const char c : text) {
    const bool blank = quote == 0 && (c == ' ' || c == '\t' || c == '\n');
    if (blank) {
      in_word = false;
      continue;
    }
    if (!std::exchange(in_word, true)) words.emplace_back();
    if (quote == 0 && (c == '"' || c == '\''))
      quote = c;
    else if (c == quote)
      quote = 0;
    else
      words.back() += c;
  }
  if (quote != 0) return std::nullopt;
  return words;
}

/// -v and what strace has beside it.
void add_call_options(Command& run, RunArguments& arguments, std::vector<std::string>& sets) {
  run::CallLog& calls = arguments.supervisor.calls;
  run.flag("-v,--verbose", calls.wanted, "One line a call, like strace");
  run.option("-o,--output", arguments.call_log, "-v, and its lines go there").value_name("FILE");
  run.option("-e", sets, "-v for some calls: trace=openat,%ioctl,VFIO_*; a ! excludes")
      .value_name("trace=SET");
  run.flag("-t", calls.clock, "-v with the time of day");
  run.flag("-T", calls.durations, "-v with the time that each call took");
}

/// Gives what is wrong.
std::string set_call_log(RunArguments& arguments, const std::vector<std::string>& sets) {
  run::CallLog& calls = arguments.supervisor.calls;
  if (!sets.empty()) {  // the last counts, as strace has it
    auto set = parse_trace_set(sets.back());
    if (!set) return "-e: " + set.error();
    calls.admits = std::move(*set);
  }
  calls.wanted = calls.wanted || !sets.empty() || calls.clock || calls.durations ||
                 !arguments.call_log.empty();
  return {};
}

/// Gives what is wrong.
std::string set_injections(RunArguments& arguments, const std::vector<std::string>& specs) {
  for (const std::string& spec : specs) {
    auto injection = run::parse_injection(spec);
    if (!injection) return "--inject: " + spec + ": " + injection_problem(injection.error());
    arguments.injections.push_back(std::move(*injection));
  }
  return {};
}

/// Gives what is wrong with the files that are written.
std::string why_wrong_files(const RunArguments& arguments) {
  for (const std::string& file : arguments.reports)
    if (!file.ends_with(".json") && !file.ends_with(".xml"))
      return "--report: '" + file + "' ends neither in .json nor in .xml";
  const std::string machine = machine_file(arguments.machine);
  const std::string program = program_file(arguments.supervisor.command.front());
  std::vector<FileOption> files = {
      {"--machine", machine}, {"--trace", arguments.pictures.trace}, {"--log-file", arguments.log}};
  // Lines of both kinds are appended as they come.
  if (!same_file(arguments.call_log, arguments.log))
    files.push_back({"--output", arguments.call_log});
  for (const std::string& file : arguments.reports) files.push_back({"--report", file});
  for (const std::string& file : arguments.pictures.files) files.push_back({"--chart-file", file});
  for (const std::string& file : arguments.suppressions) files.push_back({"--suppressions", file});
  if (std::string why = why_equal_files(files); !why.empty()) return why;
  return why_over_input({{"the program", program}}, {files.begin() + 1, files.end()});
}

/// Options about what is said at the end, and what counts as a failure.
void add_verdict_options(Command& run, RunArguments& arguments) {
  run.option("--suppressions", arguments.suppressions, "Reports that are known (repeatable)")
      .value_name("FILE");
  run.option("--report", arguments.reports,
             "Write the verdict as JSON, or as JUnit (.xml) (repeatable)")
      .value_name("FILE");
  run.option("--log-file", arguments.log, "Write teeio's words there, not to stderr")
      .value_name("FILE");
  run.flag("--why", arguments.why, "Say at the end why each refused call was refused");
}

}  // namespace

const char* environment_options() {
  return std::getenv(kOptionsVariable.data());  // NOLINT(concurrency-mt-unsafe)
}

std::string add_environment_options(const Command& run, std::vector<std::string>& words) {
  const char* const text = environment_options();
  if (text == nullptr || words.empty() || words.front() != "run") return {};
  const auto options = split(text);
  if (!options) return "TEEIO_OPTIONS has a quote that is not closed";
  if (const std::string why = run.why_not_options(*options); !why.empty())
    return "TEEIO_OPTIONS: " + why;
  words.insert(words.begin() + 1, options->begin(), options->end());
  return {};
}

Command& add_run_command(Command& root, std::function<int(const RunArguments&)> body) {
  struct Words {
    RunArguments arguments;
    std::string rules = "error";
    PictureOptions pictures;
    std::vector<std::string> trace_sets;
    std::vector<std::string> injections;
  };
  auto words = std::make_shared<Words>();
  RunArguments& arguments = words->arguments;
  Command& run =
      root.command("run", "Run a program on a TEE-I/O host that exists in this process only");
  run.option("--machine", arguments.machine, "Machine file, or the name of a built-in one")
      .value_name("FILE");
  words->pictures.add_charts(run);
  add_call_options(run, arguments, words->trace_sets);
  words->pictures.add_trace(run);
  run.option("--rules", words->rules, "What a broken rule does: error, warn, off, R4=warn,...")
      .value_name("RULES")
      .shows_default();
  add_verdict_options(run, arguments);
  run.option("--error-exitcode", arguments.error_exit_code, "Exit status when a rule was broken")
      .range(0, 255)
      .shows_default();
  run.option("--inject", words->injections,
             "What goes wrong: fail:CALL#N=ERRNO, kill:CALL#N:before|after, signal:CALL#N, "
             "firmware:COMMAND#N=refuse|busy|interrupt, device:MESSAGE#N=drop|late|garble|gone, "
             "order:SEED#DEPTH=CALLS (repeatable)")
      .value_name("SPEC");
  run.flag("--host-kvm", arguments.supervisor.host_kvm,
           "KVM is this host's own: vCPUs run for real, VFIO and iommufd are the machine's");
  run.program("PROGRAM", arguments.supervisor.command,
              "The program, looked up in PATH, and its arguments");
  run.runs([words, body = std::move(body)] {
    RunArguments& chosen = words->arguments;
    const auto lone_width = has_environment_options() ? PictureOptions::LoneWidth::kIgnored
                                                      : PictureOptions::LoneWidth::kRefused;
    if (const std::string why = words->pictures.check(lone_width); !why.empty())
      return wrong_use("run", why);
    chosen.pictures = words->pictures.arguments();
    const auto rules = rules::Selection::parse(words->rules);
    if (!rules) return wrong_use("run", "--rules: " + rules.error());
    chosen.rules = *rules;
    if (const std::string why = set_call_log(chosen, words->trace_sets); !why.empty())
      return wrong_use("run", why);
    if (const std::string why = set_injections(chosen, words->injections); !why.empty())
      return wrong_use("run", why);
    if (const std::string why = why_wrong_files(chosen); !why.empty()) return wrong_use("run", why);
    return body(chosen);
  });
  return run;
}

}  // namespace teeio::cli
