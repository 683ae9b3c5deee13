#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "decode/decode_file.h"

namespace teeio::cli {

void add_decode_command(CLI::App& app, int& status) {
  auto options = std::make_shared<decode::FileOptions>();
  CLI::App* const command = app.add_subcommand(
      "decode", "Print a capture (pcap or pcapng, DOE or MCTP) message by message");
  command
      ->add_option("FILE", options->capture,
                   "Link type 292 (PCI DOE) or 291 (MCTP); - is standard input")
      ->required();
  command->add_option("--keylog", options->key_log, "Keys of its sessions, from serve --keylog");
  command->add_flag("--json", options->json, "One JSON object a message");
  command->add_flag("-v,--verbose", options->verbose, "Each field on its own line, in full");
  command->add_flag("--show-keys", options->show_keys, "Print IDE keys too");
  command->callback([options, &status] { status = decode::decode_file(*options); });
}

}  // namespace teeio::cli
