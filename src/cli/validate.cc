#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "cli/commands.h"
#include "cli/psk_argument.h"
#include "cli/validate_watch.h"
#include "serve/validate/report.h"

namespace teeio::cli {
namespace {

namespace validate = serve::validate;

// Exit status: by verdict.
constexpr int kAllPassed = 0;
constexpr int kSomeFailed = 1;
constexpr int kNotJudged = 2;

struct ValidateArguments {
  std::string target;
  std::string transport = "doe";
  std::string function;
  std::string junit;
  std::string pcap;
  std::string key_log;
  std::string psk;
  bool verbose = false;
  std::vector<std::string> suites;
  std::vector<std::string> cases;
  bool list = false;
  validate::Target options;
};

int cannot(const std::string& why) {
  fmt::print(stderr, "teeio validate: {}\n", why);
  return kNotJudged;
}

int list_cases(const std::vector<validate::PlannedCase>& cases) {
  for (const validate::PlannedCase& planned : cases)
    fmt::print("{:<32} {} [{}]\n", planned.id, planned.row.claim, planned.row.clause);
  return kAllPassed;
}

std::expected<validate::Target, std::string> target_of(const ValidateArguments& arguments) {
  validate::Target target = arguments.options;
  auto address = serve::Address::parse(arguments.target);
  if (!address) return std::unexpected(address.error());
  target.address = *address;
  target.transport = *serve::parse_transport(arguments.transport);
  if (!arguments.psk.empty()) {
    auto psk = parse_psk(arguments.psk);
    if (!psk) return std::unexpected(psk.error());
    target.psk = std::move(*psk);
  }
  if (arguments.function.empty()) return target;
  const auto bdf = Bdf::parse(arguments.function);
  if (!bdf) return std::unexpected(arguments.function + ": must be a PCI address");
  target.function_id = wire::TdispFunctionId::of(*bdf).raw;
  return target;
}

bool colour() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  return ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
}

/// Writes `text` to a file that was opened before; false: it cannot.
bool write_all(std::ofstream& file, const std::string& text) {
  file << text;
  return static_cast<bool>(file.flush());
}

int judge(const ValidateArguments& arguments) {
  const auto cases = validate::plan(arguments.suites, arguments.cases);
  if (arguments.list) return list_cases(cases);
  if (cases.empty()) return cannot("no case has such an ID");
  if (arguments.target.empty()) return cannot("HOST:PORT is missing");
  auto target = target_of(arguments);
  if (!target) return cannot(target.error());
  std::ofstream junit_file;
  if (!arguments.junit.empty()) {
    junit_file.open(arguments.junit);
    if (!junit_file) return cannot(arguments.junit + " cannot be written");
  }
  auto watch = ValidateWatch::create(arguments.pcap, arguments.key_log, arguments.verbose);
  if (!watch) return cannot(watch.error());
  target->watch = watch->get();
  if (const auto there = validate::greet(*target); !there) return cannot(there.error());

  const bool in_colour = colour();
  std::size_t number = 0;
  fmt::print("{}", validate::tap_head(cases.size()));
  const validate::Judgement judgement =
      validate::judge(cases, *target, [&](const validate::CaseResult& result) {
        fmt::print("{}", validate::tap_line(++number, result, in_colour));
        (void)std::fflush(stdout);
      });
  if (!judgement.bail_out.empty()) fmt::print("Bail out! {}\n", judgement.bail_out);
  const validate::Totals totals = validate::totals(judgement.results);
  fmt::print("# {} passed, {} failed, {} skipped\n", totals.passed, totals.failed, totals.skipped);
  if (!arguments.junit.empty() &&
      !write_all(junit_file, validate::junit(judgement.results, arguments.target)))
    return cannot(arguments.junit + " cannot be written");
  if ((*watch)->failed()) return cannot("the capture or the key log is not whole");
  return totals.failed == 0 && judgement.bail_out.empty() ? kAllPassed : kSomeFailed;
}

}  // namespace

void add_validate_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ValidateArguments>();
  CLI::App* const command = app.add_subcommand(
      "validate",
      "Judge a device behind the socket protocol of spdm-emu: DOE, SPDM, IDE_KM, TDISP");
  command->add_option("target", arguments->target, "HOST:PORT of the responder")->type_name("");
  command->add_option("--transport", arguments->transport, "How packets are framed")
      ->check(CLI::IsMember({"doe", "mctp", "tcp", "none"}))
      ->capture_default_str();
  std::vector<std::string> names;
  for (const std::string_view name : validate::suite_names()) names.emplace_back(name);
  command->add_option("--suite", arguments->suites, "Only these suites, with commas between")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  command
      ->add_option("--case", arguments->cases, "Only cases whose ID begins so, with commas between")
      ->delimiter(',');
  command->add_option("--function", arguments->function,
                      "The TDI (default: the function that IDE_KM's QUERY names)");
  command->add_option("--stream", arguments->options.stream_id, "IDE stream ID of the TDI")
      ->capture_default_str();
  command->add_option("--port-index", arguments->options.port_index, "IDE_KM port of the stream")
      ->capture_default_str();
  command
      ->add_option("--timeout", arguments->options.timeout_ms, "Of one exchange, in milliseconds")
      ->check(CLI::Range(1, 600'000))
      ->capture_default_str();
  command->add_option("--psk", arguments->psk, "The responder's pre-shared key, HINT=KEY");
  command->add_option("--pcap", arguments->pcap, "Write packets to this file (.pcapng or pcap)");
  command->add_option("--keylog", arguments->key_log, "Write session keys to this file");
  command->add_flag("-v,--verbose", arguments->verbose, "Print each message as a comment line");
  command->add_option("--junit", arguments->junit, "Write the results as JUnit XML");
  command->add_flag("--list", arguments->list, "List the cases, and do nothing");
  command->callback([arguments, &status] { status = judge(*arguments); });
}

}  // namespace teeio::cli
