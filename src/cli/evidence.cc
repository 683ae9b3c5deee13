#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/collect_evidence.h"
#include "cli/commands.h"
#include "cli/evidence_files.h"
#include "cli/evidence_guest.h"
#include "cli/evidence_words.h"
#include "cli/options.h"
#include "cli/print.h"
#include "crypto/random.h"
#include "evidence/corpus.h"
#include "evidence/extract.h"
#include "evidence/show.h"

namespace teeio::cli {
namespace {

namespace fs = std::filesystem;
using Problem = EvidenceProblem;

// Exit status: by verdict.
constexpr int kTrusted = 0;
constexpr int kRefused = 1;
constexpr int kNoEvidence = 2;  ///< there is nothing to judge: no evidence, or no device

struct EvidenceArguments {
  std::string file;
  CollectFrom from;
  std::string report;
  std::string vca;
  std::string nonce;
  std::string save;
  std::string extract;
  bool json = false;
  // verify
  PolicyFiles policy;
  std::string time;
  std::string evidence_digest;
  std::string report_digest;
};

int cannot(std::string_view command, const Problem& why, int status = kNoEvidence) {
  complain("teeio evidence {}: {}\n", command, why);
  return status;
}

/// What the words ask for before anything is read: their nonce.
constexpr std::size_t kNonceSize = 32;
constexpr std::size_t kDigestSize = 48;

/// A nonce of a device's evidence, or of a guest's.
std::expected<std::optional<Bytes>, Problem> nonce_of(const EvidenceArguments& arguments) {
  if (arguments.from.address.empty() && arguments.nonce.size() == 2 * guest_nonce_size())
    return hex_of("--nonce", arguments.nonce, guest_nonce_size());
  auto nonce = hex_of("--nonce", arguments.nonce, kNonceSize);
  if (!nonce && arguments.from.address.empty())
    return std::unexpected(nonce.error() + ", or 128 of a guest's own evidence");
  return nonce;
}

/// The file, which may be a guest's own evidence; no bytes: a device is asked.
std::expected<Bytes, Problem> read_given(const EvidenceArguments& arguments) {
  if (!arguments.from.address.empty()) return Bytes();
  return read_evidence_file(arguments.file);
}

/// The evidence, and the nonce that was asked for if that is known.
struct Given {
  evidence::Bundle bundle;
  std::optional<Bytes> nonce;
};

std::expected<Given, Problem> ask_device(const EvidenceArguments& arguments,
                                         std::optional<Bytes> nonce) {
  crypto::set_random_source(crypto::RandomSource::kSystem);
  std::array<std::byte, kNonceSize> drawn{};
  if (nonce)
    std::ranges::copy(*nonce, drawn.begin());
  else
    crypto::fill_random(drawn);
  auto bundle = collect_evidence(arguments.from, drawn);
  if (!bundle) return std::unexpected(bundle.error());
  return Given{std::move(*bundle), Bytes(drawn.begin(), drawn.end())};
}

std::expected<Given, Problem> read_evidence(const EvidenceArguments& arguments, ByteView file,
                                            std::optional<Bytes> nonce) {
  auto bundle = evidence::Bundle::decode(file);
  if (bundle) return Given{std::move(*bundle), std::move(nonce)};
  if (const Problem why = why_no_guest_evidence(file); !why.empty())
    return std::unexpected(fmt::format("{}: {}", arguments.file, why));
  return std::unexpected(fmt::format("{}: neither an evidence object nor a bundle: {}",
                                     arguments.file, bundle.error().why));
}

std::expected<Given, Problem> gather(const EvidenceArguments& arguments, ByteView file,
                                     std::optional<Bytes> nonce) {
  auto given = arguments.from.address.empty() ? read_evidence(arguments, file, std::move(nonce))
                                              : ask_device(arguments, std::move(nonce));
  if (!given) return given;
  const auto add = [](const std::string& path, Bytes& into) -> std::expected<void, Problem> {
    if (path.empty()) return {};
    auto bytes = read_evidence_file(path);
    if (!bytes) return std::unexpected(bytes.error());
    into = std::move(*bytes);
    return {};
  };
  for (const auto& [path, into] : {std::pair(&arguments.report, &given->bundle.report),
                                   std::pair(&arguments.vca, &given->bundle.vca)})
    if (const auto added = add(*path, *into); !added) return std::unexpected(added.error());
  return given;
}

/// --save: what is not written is a wrong command line, and no verdict on the evidence.
std::expected<void, Problem> save(const EvidenceArguments& arguments,
                                  const evidence::Bundle& bundle) {
  if (arguments.save.empty()) return {};
  return write_evidence_file(arguments.save, bundle.encode());
}

/// Options of a device's evidence that a guest's own has no use for; empty: none is given.
Problem why_not_of_guest(const EvidenceArguments& arguments) {
  for (const auto& [option, value] :
       {std::pair("--report", &arguments.report), std::pair("--vca", &arguments.vca),
        std::pair("--save", &arguments.save),
        std::pair("--evidence-digest", &arguments.evidence_digest),
        std::pair("--report-digest", &arguments.report_digest)})
    if (!value->empty())
      return fmt::format("{} is for a device's evidence, and {} is a guest's own", option,
                         arguments.file);
  return {};
}

/// Beside the evidence itself, which may become its bundle: that has all of it.
std::vector<FileOption> what_is_read(const EvidenceArguments& arguments) {
  std::vector<FileOption> inputs = policy_inputs(arguments.policy);
  inputs.push_back({"--report", arguments.report});
  inputs.push_back({"--vca", arguments.vca});
  return inputs;
}

Problem why_not_save(const EvidenceArguments& arguments) {
  return why_over_input(what_is_read(arguments), {{"--save", arguments.save}});
}

int show(const EvidenceArguments& arguments) {
  if (const Problem why = why_not_save(arguments); !why.empty())
    return wrong_use("evidence show", why);
  (void)leave_standard_output({{"--save", arguments.save}});
  const auto nonce = hex_of("--nonce", arguments.nonce, kNonceSize);
  if (!nonce) return wrong_use("evidence show", nonce.error());
  if (!arguments.extract.empty())
    if (const auto made = make_evidence_folder(arguments.extract); !made)
      return cannot("show", made.error(), kUsageError);
  auto file = read_given(arguments);
  if (!file) return cannot("show", file.error());
  if (is_guest_evidence(*file)) {
    if (const Problem why = why_not_of_guest(arguments); !why.empty())
      return wrong_use("evidence show", why);
    return show_guest_evidence({.file = std::move(*file),
                                .extract = arguments.extract,
                                .kept = {{"the evidence", arguments.file}},
                                .json = arguments.json});
  }
  auto given = gather(arguments, *file, *nonce);
  if (!given) return cannot("show", given.error());
  if (const auto saved = save(arguments, given->bundle); !saved)
    return cannot("show", saved.error(), kUsageError);
  const auto statement = evidence::Statement::of(std::move(given->bundle));
  if (!arguments.extract.empty()) {
    std::vector<FileOption> kept = what_is_read(arguments);
    kept.push_back({"the evidence", arguments.file});
    kept.push_back({"--save", arguments.save});
    if (const auto done = write_parts(evidence::extract(statement), arguments.extract, kept); !done)
      return cannot("show", done.error(), kUsageError);
  }
  const auto document = evidence::as_json(statement);
  print("{}", arguments.json ? document.dump(2) + "\n" : evidence::as_text(document));
  return kTrusted;
}

std::expected<evidence::Circumstances, Problem> circumstances(const EvidenceArguments& arguments) {
  evidence::Circumstances now;
  const auto time = time_of(arguments.time);
  if (!time) return std::unexpected("--time: must be as 2026-11-29T12:00:00Z");
  now.unix_time = *time;
  const auto of_evidence = hex_of("--evidence-digest", arguments.evidence_digest, kDigestSize);
  if (!of_evidence) return std::unexpected(of_evidence.error());
  const auto of_report = hex_of("--report-digest", arguments.report_digest, kDigestSize);
  if (!of_report) return std::unexpected(of_report.error());
  now.evidence_digest = *of_evidence;
  now.report_digest = *of_report;
  return now;
}

int verify(const EvidenceArguments& arguments) {
  if (const Problem why = why_not_save(arguments); !why.empty())
    return wrong_use("evidence verify", why);
  (void)leave_standard_output({{"--save", arguments.save}});
  const auto nonce = nonce_of(arguments);
  if (!nonce) return wrong_use("evidence verify", nonce.error());
  auto now = circumstances(arguments);
  if (!now) return wrong_use("evidence verify", now.error());
  const auto policy = read_policy(arguments.policy);
  if (!policy) return cannot("verify", policy.error(), kUsageError);
  auto file = read_given(arguments);
  if (!file) return cannot("verify", file.error());
  const bool of_guest = is_guest_evidence(*file);
  const bool of_nobody =
      arguments.from.address.empty() && !of_guest && !evidence::Bundle::decode(*file);
  if (!of_nobody && *nonce && (**nonce).size() != (of_guest ? guest_nonce_size() : kNonceSize))
    return wrong_use("evidence verify",
                     of_guest ? "--nonce: a guest is asked with 128 hexadecimal digits"
                              : "--nonce: a device is asked with 64 hexadecimal digits");
  now->nonce = *nonce;
  if (of_guest) {
    if (const Problem why = why_not_of_guest(arguments); !why.empty())
      return wrong_use("evidence verify", why);
    if (!arguments.time.empty() && !has_certificates(*file))
      return wrong_use("evidence verify",
                       "--time is not for a CCA token: it has no certificates and says no time");
    return verify_guest_evidence(
        {.file = std::move(*file), .extract = {}, .kept = {}, .json = arguments.json},
        arguments.policy, *policy, std::move(*now));
  }
  for (const auto& [option, value] : {std::pair("--platform-key", &arguments.policy.platform_keys),
                                      std::pair("--certificates", &arguments.policy.certificates)})
    if (!value->empty())
      return wrong_use("evidence verify", std::string(option) + " is for a guest's own evidence");
  auto given = gather(arguments, *file, *nonce);
  if (!given) return cannot("verify", given.error());
  if (const auto saved = save(arguments, given->bundle); !saved)
    return cannot("verify", saved.error(), kUsageError);
  now->nonce = given->nonce;
  const auto statement = evidence::Statement::of(std::move(given->bundle));
  const auto clauses = evidence::judge(statement, *policy, *now);
  print("{}",
        arguments.json ? evidence::as_json(clauses).dump(2) + "\n" : evidence::as_text(clauses));
  return evidence::trusted(clauses) ? kTrusted : kRefused;
}

int write_corpus(const std::string& folder) {
  if (const auto made = make_evidence_folder(folder); !made)
    return cannot("corpus", made.error(), kUsageError);
  for (const evidence::CorpusFile& file : evidence::make_corpus())
    if (const auto done = write_evidence_file((fs::path(folder) / file.name).string(), file.bytes);
        !done)
      return cannot("corpus", done.error(), kUsageError);
  return kTrusted;
}

/// What others are given with, or not.
struct DeviceOptions {
  const Option& from;
  const Option& interface;
};

DeviceOptions add_device(Command& command, CollectFrom& device) {
  const Option& from =
      command.option("--from", device.address, "Ask the device behind spdm-emu's protocol")
          .value_name("HOST:PORT");
  command.option("--transport", device.transport, "With --from: how packets are framed")
      .choices({"doe", "mctp", "tcp", "none"})
      .shows_default()
      .needs(from);
  command.option("--slot", device.slot, "With --from: the certificate slot that signs")
      .range(0, 7)
      .shows_default()
      .needs(from);
  const Option& interface = command
                                .option("--interface", device.interface,
                                        "With --from: lock this function while its report is read")
                                .value_name("ADDRESS")
                                .needs(from);
  command.option("--timeout", device.timeout_ms, "With --from: of one exchange, in milliseconds")
      .range(1, 600'000)
      .shows_default()
      .needs(from);
  return {from, interface};
}

/// What a nonce in a file is compared with is a policy's affair.
enum class NonceOfFile : std::uint8_t { kIdle, kCounts };

void add_source(Command& command, EvidenceArguments& arguments, NonceOfFile of_file) {
  command.positional("FILE", arguments.file,
                     "Evidence as a guest reads it, a bundle, or a guest's own: CCA token, SNP "
                     "report; - is standard input");
  const auto [from, interface] = add_device(command, arguments.from);
  const bool counts = of_file == NonceOfFile::kCounts;
  Option& nonce =
      command
          .option("--nonce", arguments.nonce,
                  counts ? "64 digits that the device was, or with --from is, asked to sign; "
                           "128 of a guest's own evidence"
                         : "With --from: 64 digits that the device is asked to sign")
          .value_name("HEX");
  if (!counts) nonce.needs(from);
  command.option("--report", arguments.report, "The interface report as a guest reads it")
      .value_name("FILE")
      .excludes(interface);
  command
      .option("--vca", arguments.vca,
              "GET_VERSION to ALGORITHMS: before SPDM 1.2 the evidence lacks them")
      .value_name("FILE");
  command.option("--save", arguments.save, "Keep all of it as a bundle").value_name("FILE");
  command.flag("--json", arguments.json, "One JSON document");
}

std::function<int()> with_source(const char* name, std::shared_ptr<EvidenceArguments> arguments,
                                 int (*body)(const EvidenceArguments&)) {
  return [name, arguments, body] {
    if (arguments->file.empty() == arguments->from.address.empty())
      return wrong_use(name, "either FILE or --from HOST:PORT is wanted");
    if (const Problem why = why_not_asked(arguments->from); !why.empty())
      return wrong_use(name, why);
    return body(*arguments);
  };
}

}  // namespace

void add_evidence_command(Command& root) {
  Command& command =
      root.command("evidence", "Show and verify what a device, or a guest, proved about itself");
  auto to_show = std::make_shared<EvidenceArguments>();
  Command& show_command =
      command.command("show", "Decode certificates, measurements and interface report");
  add_source(show_command, *to_show, NonceOfFile::kIdle);
  show_command.option("--extract", to_show->extract, "Write the parts as files that openssl reads")
      .value_name("DIR");
  show_command.runs(with_source("evidence show", to_show, show));

  auto to_verify = std::make_shared<EvidenceArguments>();
  Command& verify_command = command.command("verify", "A verdict on each clause of a policy");
  add_source(verify_command, *to_verify, NonceOfFile::kCounts);
  verify_command.option("--policy", to_verify->policy.policy, "What is wanted of the device, TOML")
      .value_name("FILE");
  verify_command.option("--root", to_verify->policy.roots, "Certificates that are trusted, PEM")
      .value_name("FILE");
  verify_command
      .option("--platform-key", to_verify->policy.platform_keys,
              "CCA token: a key of platforms that are trusted, PEM")
      .value_name("FILE");
  verify_command
      .option("--certificates", to_verify->policy.certificates,
              "SNP report: the certificate of its key, and those above it, PEM")
      .value_name("FILE");
  verify_command
      .option("--time", to_verify->time,
              "When validity is judged, as 2026-11-29T12:00:00Z (default: now)")
      .value_name("TIME");
  verify_command
      .option("--evidence-digest", to_verify->evidence_digest,
              "SHA-384 of the evidence, from the guest's firmware")
      .value_name("HEX");
  verify_command
      .option("--report-digest", to_verify->report_digest,
              "SHA-384 of the report, from the guest's firmware")
      .value_name("HEX");
  verify_command.runs(with_source("evidence verify", to_verify, verify));

  Command& key_command = command.command(
      "cca-key", "Print the public key of the CCA platform that machines here model");
  key_command.runs(print_cca_key);

  auto folder = std::make_shared<std::string>();
  Command& corpus_command = command.command(
      "corpus", "Write examples, good and bad, with policies and the verdicts they must get");
  corpus_command.positional("DIR", *folder, "Where; files of these names are replaced").required();
  corpus_command.runs([folder] { return write_corpus(*folder); });
}

}  // namespace teeio::cli
