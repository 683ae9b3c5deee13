#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/print.h"
#include "decode/capture.h"
#include "decode/print.h"

namespace teeio::cli {
namespace {

struct Arguments {
  std::string file;
  std::string key_log;
  bool json = false;
  bool verbose = false;
  bool show_keys = false;
};

int cannot(const std::string& where, std::string_view why) {
  complain("teeio decode: {}: {}\n", where, why);
  return 1;
}

/// `why` begins with the file's name.
int cannot_read(const std::string& why) {
  complain("teeio decode: {}\n", why);
  return 1;
}

/// The keys of the log; nullopt after a complaint.
std::optional<decode::KeyRing> load_keys(const std::string& path) {
  decode::KeyRing keys;
  if (path.empty()) return keys;
  const auto text = read_file(path);
  if (!text) {
    (void)cannot_read(text.error());
    return std::nullopt;
  }
  const decode::KeyLogText log = decode::parse_key_log(*text);
  if (log.bad_line != 0) {
    (void)cannot(fmt::format("{}: line {}", path, log.bad_line), log.bad_why);
    return std::nullopt;
  }
  for (const wire::KeyLogLine& line : log.lines) keys.add(line);
  return keys;
}

/// Prints one packet's messages; true when each could be decoded.
bool print_packet(const Arguments& arguments, const std::vector<decode::Message>& messages,
                  std::uint64_t start_ns) {
  const auto detail = arguments.verbose ? decode::Detail::kFields : decode::Detail::kLine;
  bool good = true;
  for (const decode::Message& message : messages) {
    const std::string text =
        arguments.json ? decode::to_json(message) : decode::to_text(message, start_ns, detail);
    print_text(text);
    if (message.problem.empty()) continue;
    (void)cannot(fmt::format("{}: packet {}", arguments.file, message.packet), message.problem);
    good = false;
  }
  return good;
}

int run_decode(const Arguments& arguments) {
  auto keys = load_keys(arguments.key_log);
  if (!keys) return 1;
  const auto file = read_file(arguments.file);
  if (!file) return cannot_read(file.error());
  auto reader = wire::PcapReader::open(std::as_bytes(std::span(*file)));
  if (!reader) return cannot(arguments.file, reader.error().why);
  decode::Capture capture(reader->link(), std::move(*keys), {.show_keys = arguments.show_keys});
  bool good = true;
  std::optional<std::uint64_t> start_ns;
  for (std::size_t number = 1; !reader->done(); ++number) {
    const auto packet = reader->next();
    if (!packet)
      return cannot(fmt::format("{}: packet {}", arguments.file, number), packet.error().why);
    if (!start_ns) start_ns = packet->time_ns;
    if (!print_packet(arguments, capture.read(*packet), *start_ns)) good = false;
  }
  return good ? 0 : 1;
}

}  // namespace

void add_decode_command(Command& root) {
  auto arguments = std::make_shared<Arguments>();
  Command& decode =
      root.command("decode", "Print a capture (pcap, DOE or MCTP) message by message");
  decode.positional("FILE.pcap", arguments->file, "Link type 292 (PCI DOE) or 291 (MCTP)")
      .required();
  decode.option("--keylog", arguments->key_log, "Keys of its sessions, from serve --keylog")
      .value_name("FILE");
  decode.flag("--json", arguments->json, "One JSON object a message");
  decode.flag("-v,--verbose", arguments->verbose, "Each field on its own line, in full");
  decode.flag("--show-keys", arguments->show_keys, "Print IDE keys too");
  decode.runs([arguments] { return run_decode(*arguments); });
}

}  // namespace teeio::cli
