#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/picture_options.h"
#include "cli/print.h"
#include "cli/serve_arguments.h"
#include "cli/slot_files.h"
#include "crypto/random.h"
#include "machine/config.h"
#include "serve/server.h"
#include "serve/vfio_user/server.h"

namespace teeio::cli {
namespace {

/// What is wrong with the functions as words: no card has one, or it is named twice.
std::string why_no_functions(const ServeArguments& arguments, const std::vector<Bdf>& functions) {
  const auto config = machine::find_config(arguments.options.machine);
  if (!config) return {};  // whoever loads it says why
  for (auto at = functions.begin(); at != functions.end(); ++at) {
    if (std::find(functions.begin(), at, *at) != at)
      return fmt::format("--function {} is given twice", at->str());
    const auto serves = [&](const machine::CardConfig& card) {
      return card.has(*at) && (card.is_tee_io() || !arguments.vfio_user.empty());
    };
    if (std::ranges::none_of(config->cards, serves))
      return fmt::format("--function {}: no {}card of {} has it", at->str(),
                         arguments.vfio_user.empty() ? "TEE-I/O " : "", config->name);
  }
  return {};
}

int cannot_serve(const std::string& why) {
  complain("teeio serve: {}\n", why);
  return 1;
}

/// What a vfio-user device has no use for, or how many sockets and functions there are.
std::string why_no_vfio_user(const ServeArguments& arguments) {
  const std::size_t sockets = arguments.vfio_user.size();
  const std::size_t functions = arguments.functions.size();
  if (sockets != functions && !(sockets == 1 && functions == 0))
    return fmt::format("--vfio-user and --function are given in pairs, not {} and {} of them",
                       sockets, functions);
  if (!arguments.transport.empty() && arguments.transport != "doe")
    return "a vfio-user device speaks over its DOE mailbox: --transport must be doe";
  return {};
}

int serve_vfio_user(const ServeArguments& arguments, serve::ServerOptions options) {
  auto pictures = Pictures::open(arguments.pictures.arguments());
  if (!pictures) return 1;
  report::RunInfo info{.version = TEEIO_VERSION,
                       .machine = options.machine,
                       .arguments = {"teeio", "serve"},
                       .broken = {},
                       .closing = {}};
  for (const std::string& socket : arguments.vfio_user) {
    info.arguments.emplace_back("--vfio-user");
    info.arguments.push_back(socket);
  }
  auto server = vfio_user::Server::create({.machine = std::move(options.machine),
                                           .sockets = arguments.vfio_user,
                                           .functions = std::move(options.functions),
                                           .processor = arguments.processor,
                                           .keep_events = pictures->wanted(),
                                           .pcap = std::move(options.pcap),
                                           .key_log = std::move(options.key_log),
                                           .spdm = std::move(options.spdm),
                                           .once = options.once});
  if (!server) return cannot_serve(server.error());
  const bool captured = server->run();
  const bool drawn = pictures->draw(server->trace().events(), info, STDERR_FILENO);
  return captured && drawn ? 0 : 1;
}

/// --save-state's is the last.
std::vector<FileOption> outputs_of(const ServeArguments& arguments) {
  std::vector<FileOption> outputs = {{"--pcap", arguments.options.pcap},
                                     {"--keylog", arguments.options.key_log},
                                     {"--control", arguments.options.control},
                                     {"--trace", arguments.pictures.arguments().trace}};
  for (const std::string& file : arguments.pictures.arguments().files)
    outputs.push_back({"--chart-file", file});
  outputs.push_back({"--save-state", arguments.options.save_state});
  return outputs;
}

/// A capture is begun before a chain or a key is read. --load-state's file may be --save-state's:
/// it goes on there.
std::string why_over_what_is_read(const ServeArguments& arguments, const SlotFiles& files) {
  const serve::ServerOptions& options = arguments.options;
  std::vector<FileOption> inputs = files.inputs();
  const std::string machine = machine_file(options.machine);
  inputs.push_back({"--machine", machine});
  inputs.push_back({"--requester-key", arguments.requester_key});
  std::vector<FileOption> outputs = outputs_of(arguments);
  std::string why = why_over_input(inputs, outputs);
  outputs.pop_back();
  return why.empty() ? why_over_input({{"--load-state", options.load_state}}, outputs) : why;
}

int serve_devices(ServeArguments& arguments) {
  if (arguments.list_faults) {
    for (const std::string& fault : serve::all_faults()) print("{}\n", fault);
    return 0;
  }
  crypto::set_random_source(crypto::RandomSource::kSystem);  // peers are not of this process
  for (const auto& [option, file] : {FileOption{"--pcap", arguments.options.pcap},
                                     FileOption{"--keylog", arguments.options.key_log},
                                     FileOption{"--save-state", arguments.options.save_state}})
    if (is_standard_output(file))
      return wrong_use("serve", fmt::format("{}: standard output says where it listens", option));
  if (const std::string why = why_equal_files(outputs_of(arguments)); !why.empty())
    return wrong_use("serve", why);
  auto options = parse(arguments);
  if (!options) return wrong_use("serve", options.error());
  if (const std::string why = arguments.pictures.check(PictureOptions::LoneWidth::kRefused);
      !why.empty())
    return wrong_use("serve", why);
  if (arguments.pictures.given() && arguments.vfio_user.empty())
    return wrong_use("serve", "--chart, --chart-file and --trace need --vfio-user");
  if (const std::string why = why_no_functions(arguments, options->functions); !why.empty())
    return wrong_use("serve", why);
  SlotFiles files;
  for (const std::string& text : arguments.slots)
    if (const auto wrong = files.add_slot(text)) return wrong_use("serve", *wrong);
  if (!arguments.chain.empty()) files.add_shared(arguments.chain, arguments.key);
  if (const std::string why = why_over_what_is_read(arguments, files); !why.empty())
    return wrong_use("serve", why);
  const auto filled = files.load(options->spdm);
  if (!filled) return cannot_serve(filled.error());
  if (!arguments.vfio_user.empty()) {
    if (const std::string wrong = why_no_vfio_user(arguments); !wrong.empty())
      return wrong_use("serve", wrong);
    return serve_vfio_user(arguments, std::move(*options));
  }
  auto server = serve::Server::create(std::move(*options));
  if (!server) return cannot_serve(server.error());
  return server->run() ? 0 : 1;
}

}  // namespace

void add_serve_command(Command& root) {
  auto arguments = std::make_shared<ServeArguments>();
  Command& serve = root.command(
      "serve", "Be a TEE-I/O device behind the socket protocol of spdm-emu and QEMU's spdm_port");
  Option& listen = serve.option("--listen", arguments->listen, "HOST:PORT; port 0: a free one")
                       .value_name("HOST:PORT")
                       .shows_default();
  serve
      .option("--machine", arguments->options.machine,
              "Machine file, or the name of a built-in one")
      .value_name("FILE");
  serve
      .option("--function", arguments->functions,
              "Serve only the card with this function; may be repeated")
      .value_name("ADDRESS");
  Option& connect = serve
                        .option("--connect", arguments->connect,
                                "Connect to a requester and ask for its role (DSP0287), instead "
                                "of listening")
                        .value_name("HOST:PORT")
                        .excludes(listen);
  Option& vfio_user =
      serve
          .option("--vfio-user", arguments->vfio_user,
                  "Be a PCI device for QEMU's vfio-user-pci at this socket, instead of listening: "
                  "the function of the --function in the same place (default: the first PF)")
          .value_name("SOCKET")
          .excludes(listen)
          .excludes(connect);
  serve
      .option("--secure-processor", arguments->processor,
              "Be AMD's secure processor, too, as a PCI device at this socket: the firmware that "
              "a kernel's TSM module drives")
      .value_name("SOCKET")
      .needs(vfio_user);
  arguments->pictures.add_charts(serve);
  arguments->pictures.add_trace(serve);
  serve.option("--transport", arguments->transport, "Take only this one")
      .choices({"doe", "mctp", "tcp", "none"});
  serve
      .option("--control", arguments->options.control,
              "Path of a socket for commands and events, a JSON object a line")
      .value_name("PATH")
      .excludes(vfio_user);
  serve.option("--pcap", arguments->options.pcap, "Write packets to this file").value_name("FILE");
  serve
      .option("--keylog", arguments->options.key_log,
              "Write session keys to this file, so that a capture can be decrypted")
      .value_name("FILE");
  Option& load = serve
                     .option("--load-state", arguments->options.load_state,
                             "With CACHE: begin with the negotiated state of this file")
                     .value_name("FILE")
                     .excludes(vfio_user);
  Option& save = serve
                     .option("--save-state", arguments->options.save_state,
                             "With CACHE: write the negotiated state to this file when it ends")
                     .value_name("FILE")
                     .excludes(vfio_user);
  Option& mutual_auth = serve.flag("--mutual-auth", arguments->mutual_auth,
                                   "Ask requesters that can to authenticate themselves");
  serve
      .flag("--mutual-auth-required", arguments->mutual_auth_required,
            "With --mutual-auth: no session for those that cannot")
      .needs(mutual_auth);
  serve
      .flag("--mutual-auth-reuse", arguments->mutual_auth_reuse,
            "With --mutual-auth: a session takes the chain that CHALLENGE has brought")
      .needs(mutual_auth);
  serve
      .option("--requester-key", arguments->requester_key,
              "With --mutual-auth: the public key, PEM or DER, of requesters without certificates "
              "(PUB_KEY_ID)")
      .value_name("FILE")
      .needs(mutual_auth);
  Option& key =
      serve.option("--key", arguments->key, "Private key of the chain, PEM").value_name("FILE");
  Option& chain = serve
                      .option("--chain", arguments->chain,
                              "Certificate chain of the slots, PEM, root first (default: the "
                              "card's own)")
                      .value_name("FILE");
  serve
      .option("--slot", arguments->slots,
              "Certificate chain and key of one slot, N=CHAIN,KEY; may be repeated")
      .value_name("N=FILE,FILE");
  serve
      .option("--measurement", arguments->measurements,
              "A measurement block, INDEX=KIND:VALUE or INDEX=KIND+raw:VALUE; may be repeated")
      .value_name("BLOCK");
  serve
      .option("--measurement-opaque", arguments->measurement_opaque,
              "OpaqueData of MEASUREMENTS, as a vendor's element")
      .value_name("TEXT");
  chain.needs(key);
  key.needs(chain);
  serve.option("--psk", arguments->psks, "A pre-shared key, HINT=KEY; may be repeated")
      .value_name("HINT=KEY");
  serve.option("--versions", arguments->versions, "SPDM versions, with commas between")
      .value_name("LIST")
      .comma_separated();
  serve
      .option("--secured-versions", arguments->secured_versions,
              "Versions of secured messages, 1.0 to 1.2, with commas between")
      .value_name("LIST")
      .comma_separated();
  serve
      .option("--capabilities", arguments->capabilities,
              "What is offered: names, or changes +NAME and -NAME, with commas between")
      .value_name("LIST")
      .comma_separated();
  serve
      .option("--algorithms", arguments->options.spdm.algorithms,
              "Only these of their kinds (ECDSA-P256, SHA-256, …), with commas between")
      .value_name("LIST")
      .comma_separated();
  serve
      .option("--post-quantum", arguments->post_quantum,
              "ML-DSA, SLH-DSA and ML-KEM of SPDM 1.4, where OpenSSL has them")
      .choices({"off", "offer", "first", "only"})
      .shows_default();
  serve.option("--slots", arguments->options.spdm.slots.slots, "Slots that are filled, from 0 on")
      .range(1, 8)
      .shows_default();
  serve
      .option("--transfer-size", arguments->options.spdm.data_transfer_size,
              "DataTransferSize in bytes")
      .range(42, 0x10000)
      .shows_default();
  serve.flag("--defer", arguments->options.spdm.defer,
             "Answer what needs a signature by ResponseNotReady first");
  serve.option("--heartbeat", arguments->options.spdm.heartbeat_s,
               "Heartbeat period of sessions, in seconds (0: none)");
  Option& cxl = serve.flag("--cxl", arguments->options.spdm.cxl,
                           "Also answer CXL's IDE_KM and TSP, as a memory device would");
  serve
      .flag("--cxl-generates", arguments->options.spdm.cxl_generates,
            "With --cxl: the device makes its keys and IVs itself, and tells them (GETKEY)")
      .needs(cxl);
  serve
      .option("--cxl-ports", arguments->options.spdm.cxl_ports,
              "With --cxl: how many ports its QUERY_RESP tells of")
      .range(1, 256)
      .shows_default()
      .needs(cxl);
  serve
      .option("--ide-stream", arguments->ide_streams,
              "What an IDE stream is set up with beside its ID, ID=FEATURE+FEATURE "
              "(aggregation, pcrc, …); may be repeated")
      .value_name("ID=FEATURE")
      .excludes(vfio_user);
  serve
      .option("--ide-port", arguments->options.spdm.ide_port,
              "The card's port in IDE_KM; those below it have no streams")
      .shows_default();
  serve
      .option("--fault", arguments->faults,
              "Misbehave: NAME@MESSAGE, such as bad-signature@KEY_EXCHANGE; may be repeated")
      .value_name("NAME@MESSAGE");
  serve.flag("--list-faults", arguments->list_faults, "List the faults, and do nothing")
      .alone_but_for({});
  serve
      .flag("--device-per-peer", arguments->options.device_per_peer,
            "Each connection has a device of its own, as after power-on")
      .excludes(vfio_user)
      .excludes(connect)
      .excludes(load)
      .excludes(save);
  serve
      .flag("--once", arguments->options.once,
            "End when a peer sends SHUTDOWN, or a vfio-user client leaves")
      .excludes(connect);  // whose one connection is the last
  serve.runs([arguments] { return serve_devices(*arguments); });
}

}  // namespace teeio::cli
