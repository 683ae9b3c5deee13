#pragma once

#include <expected>
#include <string>
#include <vector>

#include "cli/picture_options.h"
#include "serve/server.h"

namespace teeio::cli {

/// The command line's words, before they are looked at.
struct ServeArguments {
  std::string listen = "127.0.0.1:2323";
  std::string connect;
  std::vector<std::string> functions;
  std::vector<std::string> vfio_user;  ///< sockets
  std::string processor;               ///< socket
  PictureOptions pictures;
  std::string transport;
  std::string chain;
  std::string key;
  std::vector<std::string> slots;         ///< N=CHAIN,KEY
  std::vector<std::string> measurements;  ///< INDEX=KIND:VALUE
  std::vector<std::string> faults;
  std::vector<std::string> ide_streams;  ///< ID=FEATURE+…
  bool list_faults = false;
  std::vector<std::string> psks;
  std::vector<std::string> versions;
  std::vector<std::string> capabilities;
  std::string post_quantum = "offer";
  bool mutual_auth = false;
  bool mutual_auth_required = false;
  bool mutual_auth_reuse = false;
  std::string requester_key;
  std::vector<std::string> secured_versions;
  std::string measurement_opaque;
  serve::ServerOptions options;
};

/// What they ask for. Errors: a sentence that says which word cannot be, or not beside which.
std::expected<serve::ServerOptions, std::string> parse(const ServeArguments& arguments);

}  // namespace teeio::cli
