#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "serve/platform_message.h"
#include "serve/socket.h"
#include "serve/speaker.h"

namespace teeio::serve {

struct ServerOptions {
  Address listen{"127.0.0.1", 2323};           ///< port 0: a free one
  std::optional<Address> connect;              ///< to a requester, instead of listening
  std::string machine;                         ///< file or built-in name; empty: the default
  std::vector<Bdf> functions;                  ///< empty: every TEE-I/O card
  std::optional<PlatformTransport> transport;  ///< nullopt: what each connection names
  std::string control;                         ///< path of the control socket; empty: none
  std::string pcap;                            ///< file for packets; empty: none
  std::string key_log;                         ///< file for keys; empty: none
  std::string load_state;                      ///< file with agreements; empty: none
  std::string save_state;                      ///< file for them, when it ends; empty: none
  SpeakerOptions spdm;
  /// Each connection has a device of its own, as it is after power-on; the fleet's are only what
  /// control connections see. Its changes of state are told to those all the same.
  bool device_per_peer = false;
  bool once = false;  ///< SHUTDOWN from a peer ends the server
};

/// `teeio serve`: listeners, connections, control socket and signals around one
/// poll(). SIGINT and SIGTERM end it in order, SIGHUP reads the machine file again.
///
/// The n-th device listens on the n-th port from `listen` on (with port 0, each on
/// a free one). Lines of the log go to stderr; one line a listener to stdout. With `connect`
/// the one device asks a requester for its role (DSP0287), and the server ends with that
/// connection, or when no request came within 10 s.
///
/// Lifetime: the caller's. Locking: none; it has no second thread.
class Server {
 public:
  /// Errors are ready to print: the machine file's, and the sockets'.
  static std::expected<Server, std::string> create(ServerOptions options);
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();

  /// Serves until a signal, a control command or (with `once`) a peer ends it. false: the
  /// capture, the key log or the agreements could not be written to the end, or whom `connect`
  /// names asked for nothing.
  [[nodiscard]] bool run();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace teeio::serve
