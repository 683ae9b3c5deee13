#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/key_files.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/psk_argument.h"
#include "cli/validate_watch.h"
#include "machine/config.h"
#include "serve/capture.h"
#include "serve/validate/doe_bus.h"
#include "serve/validate/ide_stream.h"
#include "serve/validate/mctp_bus.h"
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
  std::string pci;
  std::string mctp;
  bool force = false;
  std::string transport = "doe";
  std::string function;
  std::string machine;
  std::string junit;
  std::string pcap;
  std::string key_log;
  std::string psk;
  std::string responder_key;
  std::string requester_key;
  std::string post_quantum = "offer";
  bool verbose = false;
  std::vector<std::string> suites;
  std::vector<std::string> cases;
  bool list = false;
  validate::Target options;
};

int cannot(const std::string& why, int status = kNotJudged) {
  complain("teeio validate: {}\n", why);
  return status;
}

int list_cases(const std::vector<validate::PlannedCase>& cases) {
  for (const validate::PlannedCase& planned : cases)
    print("{:<32} {} [{}]\n", planned.id, planned.row.claim, planned.row.clause);
  return kAllPassed;
}

std::vector<std::string> every_suite() {
  const auto names = validate::suite_names();
  return {names.begin(), names.end()};
}

std::expected<validate::Target, std::string> target_of(const ValidateArguments& arguments) {
  validate::Target target = arguments.options;
  target.transport = *serve::parse_transport(arguments.transport);
  if (arguments.pci.empty() && arguments.mctp.empty()) {
    auto address = serve::Address::parse(arguments.target);
    if (!address) return std::unexpected(address.error());
    target.address = *address;
  } else {
    target.transport = arguments.mctp.empty() ? serve::PlatformTransport::kPciDoe
                                              : serve::PlatformTransport::kMctp;
  }
  target.post_quantum = *serve::post_quantum_of(arguments.post_quantum);
  std::vector<std::string> none;
  if (const auto what = serve::leave_out_unavailable(none, target.post_quantum); !what.empty())
    complain("teeio validate: {}\n", what);
  if (!arguments.psk.empty()) {
    auto psk = parse_psk(arguments.psk);
    if (!psk) return std::unexpected(psk.error());
    target.psk = std::move(*psk);
  }
  if (!arguments.responder_key.empty()) {
    auto key = read_public_key(arguments.responder_key);
    if (!key) return std::unexpected(key.error());
    target.responder_key = std::move(*key);
  }
  if (!arguments.requester_key.empty()) {
    auto key = read_private_key(arguments.requester_key);
    if (!key) return std::unexpected(key.error());
    target.requester_key = std::move(*key);
  }
  if (arguments.function.empty()) return target;
  const auto bdf = Bdf::parse(arguments.function);
  if (!bdf) return std::unexpected(arguments.function + ": must be a PCI address");
  target.function_id = wire::TdispFunctionId::of(*bdf).raw;
  return target;
}

/// What the device is behind, if it is no socket, and what was set up there for it.
struct Place {
  std::unique_ptr<serve::Bus> bus;
  // Both refer to the bus.
  std::unique_ptr<validate::IdeStream> stream{};
  std::unique_ptr<validate::IdeLinkStream> link_stream{};
};
/// What to say, and the status.
struct Refusal {
  std::string why;
  int status = kNotJudged;
};

using Cases = std::vector<validate::PlannedCase>;

bool has_suite(const Cases& cases, std::string_view name) {
  return std::ranges::find(cases, name, &validate::PlannedCase::suite) != cases.end();
}
bool uses_stream(const Cases& cases) {
  return has_suite(cases, "ide_km") || has_suite(cases, "tdisp");
}

std::string what_is_disturbed(const validate::DoeBus& bus, const validate::IdeStream* stream,
                              const validate::IdeLinkStream* link,
                              const ValidateArguments& arguments, const Cases& cases,
                              const std::string& tsm) {
  std::string text =
      fmt::format("opens and ends SPDM sessions in the DOE mailbox at {:#x}", bus.mailbox());
  if (stream != nullptr && stream->block())
    text += fmt::format(", enables the IDE stream block at {:#x} meanwhile", *stream->block());
  if (link != nullptr && link->block())
    text += fmt::format(", and that at {:#x} of a link stream", *link->block());
  if (uses_stream(cases))
    text += fmt::format(", programs and stops the keys of IDE stream {}, locks and stops the TDI",
                        arguments.options.stream_id);
  if (has_suite(cases, "provisioning"))
    text += ", writes the chain of slot 0 and what key pairs are used for again";
  else if (has_suite(cases, "events"))
    text += ", writes the chain of slot 0 again";
  if (has_suite(cases, "cxl"))
    text += ", programs and stops the keys of CXL.cachemem, and sets the TSP configuration";
  if (!tsm.empty()) text += fmt::format("; {} loses its session", tsm);
  return text;
}

std::expected<Place, Refusal> open_pci(const ValidateArguments& arguments, const Cases& cases) {
  const auto bdf = Bdf::parse(arguments.pci);
  if (!bdf) return std::unexpected(Refusal{arguments.pci + ": must be a PCI address", kUsageError});
  const std::string tsm = validate::DoeBus::connected_tsm(*bdf);
  if (!tsm.empty() && !arguments.force)
    return std::unexpected(Refusal{
        fmt::format("{}: the kernel's {} holds a session with it, which would end, and with it "
                    "IDE keys and every locked TDI, without the kernel's knowledge; --force does "
                    "it all the same",
                    bdf->str(), tsm)});
  auto opened = validate::DoeBus::open(*bdf, arguments.options.timeout_ms);
  if (!opened) return std::unexpected(Refusal{opened.error()});
  auto bus = std::make_unique<validate::DoeBus>(std::move(*opened));
  std::unique_ptr<validate::IdeStream> stream;
  std::unique_ptr<validate::IdeLinkStream> link;
  if (uses_stream(cases)) {
    const std::uint8_t id = arguments.options.stream_id;
    stream = std::make_unique<validate::IdeStream>(bus->config(), id);
    link = std::make_unique<validate::IdeLinkStream>(bus->config(), validate::other_stream(id));
  }
  complain("teeio validate: {}: {}\n", bdf->str(),
           what_is_disturbed(*bus, stream.get(), link.get(), arguments, cases, tsm));
  return Place{std::move(bus), std::move(stream), std::move(link)};
}

std::expected<Place, Refusal> open_mctp(const ValidateArguments& arguments) {
  const auto endpoint = validate::MctpBus::Endpoint::parse(arguments.mctp);
  if (!endpoint)
    return std::unexpected(
        Refusal{arguments.mctp + ": must be NETWORK,EID, with an EID from 8 to 254", kUsageError});
  if (!validate::MctpBus::exists())
    return std::unexpected(
        Refusal{"skipped: this kernel has no AF_MCTP (CONFIG_MCTP), or the module is not loaded"});
  return Place{std::make_unique<validate::MctpBus>(*endpoint)};
}

std::expected<Place, Refusal> open_bus(const ValidateArguments& arguments, const Cases& cases) {
  if (!arguments.pci.empty()) return open_pci(arguments, cases);
  if (!arguments.mctp.empty()) return open_mctp(arguments);
  return Place{};
}

/// Why a machine file cannot say anything of this run; empty: it can.
std::string why_no_machine(const machine::Config& config, const validate::Target& target,
                           const Cases& cases) {
  if (std::ranges::find(cases, validate::kMachineCase, &validate::PlannedCase::id) == cases.end())
    return fmt::format("--machine: only case {} looks at it, and it is not among those to run",
                       validate::kMachineCase);
  const auto has_tdi = [&](const machine::CardConfig& card) {
    if (!card.is_tee_io()) return false;
    const Bdf first = card.bdf;
    const unsigned id = wire::TdispFunctionId{target.function_id.value_or(0)}.rid();
    return !target.function_id || (id >= first.rid() && id <= unsigned{first.rid()} + card.vfs);
  };
  if (std::ranges::any_of(config.cards, has_tdi)) return {};
  return target.function_id
             ? fmt::format("--machine: no TEE-I/O card of {} has the --function", config.name)
             : fmt::format("--machine: {} has no TEE-I/O card", config.name);
}

/// The first ID of --case that no case begins with; empty: each has one.
std::string_view unmatched(const std::vector<std::string>& wanted, const Cases& cases) {
  for (const std::string& id : wanted)
    if (std::ranges::none_of(cases, [&](const auto& one) { return one.id.starts_with(id); }))
      return id;
  return {};
}

int judge(const ValidateArguments& arguments) {
  const bool on_bus = !arguments.pci.empty() || !arguments.mctp.empty();
  // What is there is more than what runs unasked.
  const bool lists_all = arguments.list && arguments.suites.empty() && arguments.cases.empty();
  const auto cases = validate::plan(lists_all ? every_suite() : arguments.suites, arguments.cases,
                                    on_bus ? validate::Where::kBus : validate::Where::kSocket);
  if (const std::string_view none = unmatched(arguments.cases, cases); !none.empty())
    return wrong_use("validate", fmt::format("--case {}: no case has such an ID{}", none,
                                             arguments.suites.empty() ? "" : " in the --suite"));
  if (arguments.list) return list_cases(cases);
  if (arguments.target.empty() && !on_bus) return wrong_use("validate", "HOST:PORT is missing");
  auto target = target_of(arguments);
  if (!target) return wrong_use("validate", target.error());
  const std::vector<FileOption> outputs = {
      {"--junit", arguments.junit}, {"--pcap", arguments.pcap}, {"--keylog", arguments.key_log}};
  const std::string machine = machine_file(arguments.machine);
  const std::vector<FileOption> inputs = {{"--machine", machine},
                                          {"--responder-key", arguments.responder_key},
                                          {"--requester-key", arguments.requester_key}};
  if (const std::string why = why_over_input(inputs, outputs); !why.empty())
    return wrong_use("validate", why);
  if (const std::string why = leave_standard_output(outputs); !why.empty())
    return wrong_use("validate", why);
  if (!arguments.pcap.empty() && !serve::has_link_type(target->transport))
    return wrong_use("validate", fmt::format("--pcap changes nothing with --transport {}: captures "
                                             "have no link type for it",
                                             arguments.transport));
  std::optional<OutputFile> junit;
  if (!arguments.junit.empty()) {
    auto file = OutputFile::open(arguments.junit);
    if (!file) return cannot(file.error(), kUsageError);
    junit.emplace(std::move(*file));
  }
  auto watch = ValidateWatch::create(arguments.pcap, arguments.key_log, arguments.verbose);
  if (!watch) return cannot(watch.error(), kUsageError);
  target->watch = watch->get();
  std::optional<machine::Config> expected;
  if (!arguments.machine.empty()) {
    auto config = machine::find_config(arguments.machine);
    if (!config) return cannot(config.error(), kUsageError);
    if (const std::string why = why_no_machine(*config, *target, cases); !why.empty())
      return wrong_use("validate", why);
    expected = std::move(*config);
    target->machine = &*expected;
  }
  const auto place = open_bus(arguments, cases);
  if (!place) return cannot(place.error().why, place.error().status);
  target->bus = place->bus.get();
  target->stream = place->stream.get();
  target->link_stream = place->link_stream.get();
  if (const auto there = validate::greet(*target); !there) return cannot(there.error());

  const bool in_colour = may_colour(STDOUT_FILENO);
  std::size_t number = 0;
  print("{}", validate::tap_head(cases.size()));
  const validate::Judgement judgement =
      validate::judge(cases, *target, [&](const validate::CaseResult& result) {
        print("{}", validate::tap_line(++number, result, in_colour));
        (void)standard_output_problem();  // each line at once; main tells what failed
      });
  if (!judgement.bail_out.empty()) print("Bail out! {}\n", judgement.bail_out);
  const validate::Totals totals = validate::totals(judgement.results);
  print("# {} passed, {} failed, {} skipped\n", totals.passed, totals.failed, totals.skipped);
  if (junit)
    if (const auto done = junit->write(validate::junit(judgement.results, target->name())); !done)
      return cannot(done.error(), kUsageError);
  if ((*watch)->failed()) return cannot("the capture or the key log is not whole", kUsageError);
  return totals.failed == 0 && judgement.bail_out.empty() ? kAllPassed : kSomeFailed;
}

}  // namespace

void add_validate_command(Command& root) {
  auto arguments = std::make_shared<ValidateArguments>();
  Command& command = root.command(
      "validate",
      "Judge a device behind the socket protocol of spdm-emu: DOE, SPDM, IDE_KM, TDISP");
  Option& target = command.positional("HOST:PORT", arguments->target, "The responder's address");
  Option& pci =
      command
          .option("--pci", arguments->pci,
                  "Judge a PCIe function of this host instead, through its DOE mailbox; needs root")
          .value_name("ADDRESS")
          .excludes(target);
  Option& mctp = command
                     .option("--mctp", arguments->mctp,
                             "Judge an endpoint of this host's MCTP network instead")
                     .value_name("NET,EID")
                     .excludes(target)
                     .excludes(pci);
  command
      .flag("--force", arguments->force,
            "With --pci: also where the kernel's TSM holds a session with the function")
      .needs(pci);
  command.option("--transport", arguments->transport, "How packets are framed")
      .choices({"doe", "mctp", "tcp", "none"})
      .shows_default()
      .excludes(pci)
      .excludes(mctp);
  Option& suites =
      command.option("--suite", arguments->suites, "Only these suites, with commas between")
          .choices(every_suite())
          .comma_separated();
  Option& cases =
      command
          .option("--case", arguments->cases, "Only cases whose ID begins so, with commas between")
          .value_name("ID")
          .comma_separated();
  command
      .option("--function", arguments->function,
              "The TDI (default: the function that IDE_KM's QUERY names)")
      .value_name("ADDRESS");
  command
      .option(
          "--machine", arguments->machine,
          "Machine file, or the name of a built-in one, that says what the TDI's report must be")
      .value_name("FILE");
  command.option("--stream", arguments->options.stream_id, "IDE stream ID of the TDI")
      .shows_default();
  command.option("--port-index", arguments->options.port_index, "IDE_KM port of the stream")
      .shows_default();
  command.option("--timeout", arguments->options.timeout_ms, "Of one exchange, in milliseconds")
      .range(1, 600'000)
      .shows_default();
  command.option("--psk", arguments->psk, "The responder's pre-shared key, HINT=KEY")
      .value_name("HINT=KEY");
  command
      .option("--responder-key", arguments->responder_key,
              "The responder's public key, PEM or DER, where it has no certificates (PUB_KEY_ID)")
      .value_name("FILE");
  command
      .option("--requester-key", arguments->requester_key,
              "A private key, PEM, whose public half the responder was given: for mutual "
              "authentication without certificates")
      .value_name("FILE");
  command
      .option("--post-quantum", arguments->post_quantum,
              "ML-DSA, SLH-DSA and ML-KEM of SPDM 1.4, where OpenSSL has them")
      .choices({"off", "offer", "first", "only"})
      .shows_default();
  command.option("--pcap", arguments->pcap, "Write packets to this file (.pcapng or pcap)")
      .value_name("FILE");
  command.option("--keylog", arguments->key_log, "Write session keys to this file")
      .value_name("FILE");
  command.flag("-v,--verbose", arguments->verbose, "Print each message as a comment line");
  command.option("--junit", arguments->junit, "Write the results as JUnit XML").value_name("FILE");
  command.flag("--list", arguments->list, "List the cases, and do nothing")
      .alone_but_for({&suites, &cases});
  command.runs([arguments] { return judge(*arguments); });
}

}  // namespace teeio::cli
