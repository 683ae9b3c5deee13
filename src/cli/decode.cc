#include <memory>

#include "cli/commands.h"
#include "cli/options.h"
#include "decode/decode_file.h"

namespace teeio::cli {

void add_decode_command(Command& root) {
  auto options = std::make_shared<decode::FileOptions>();
  Command& decode =
      root.command("decode", "Print a capture (pcap or pcapng, DOE or MCTP) message by message");
  decode
      .positional("FILE", options->capture,
                  "Link type 292 (PCI DOE) or 291 (MCTP); - is standard input")
      .required();
  decode.option("--keylog", options->key_log, "Keys of its sessions, from serve --keylog")
      .value_name("FILE");
  decode.flag("--json", options->json, "One JSON object a message");
  decode.flag("-v,--verbose", options->verbose, "Each field on its own line, in full");
  decode.flag("--show-keys", options->show_keys, "Print IDE keys too");
  decode.runs([options] {
    if (options->capture == "-" && options->key_log == "-")
      return wrong_use("decode", "FILE and --keylog cannot both be standard input");
    return decode::decode_file(*options);
  });
}

}  // namespace teeio::cli
