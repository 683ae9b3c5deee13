#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"
#include "object/trace.h"
#include "serve/speaker.h"

namespace teeio::vfio_user {

struct ServerOptions {
  std::string machine;               ///< file or built-in name; empty: the default
  std::vector<std::string> sockets;  ///< paths, one a function
  std::vector<Bdf> functions;        ///< as many; empty, with one socket: the first PF
  std::string processor;             ///< socket of the secure processor; empty: none
  bool keep_events = false;          ///< for trace()
  std::string pcap;                  ///< file for DOE objects; empty: none
  std::string key_log;               ///< file for keys; empty: none
  serve::SpeakerOptions spdm;
  bool once = false;  ///< the server ends when a client has left
};

/// `teeio serve --vfio-user`: a socket a function, a task a client, and one around poll()
/// for what knocks. A function has one client at a time; who comes then is turned away
/// unless the client leaves within 2 s. SIGINT, SIGTERM and SIGHUP end it in order.
///
/// Lines of the log go to stderr; one line a function to stdout.
///
/// Lifetime: the caller's. Locking: none; its tasks share nothing but the cards.
class Server {
 public:
  /// Errors are ready to print: the machine file's, the capture's, the sockets'.
  static std::expected<Server, std::string> create(ServerOptions options);
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();

  /// Serves until a signal or (with `once`) a client ends it. false: the capture or the key
  /// log could not be written to the end.
  [[nodiscard]] bool run();
  /// What the cards and the firmware did. Only when nobody is served.
  [[nodiscard]] const object::Trace& trace() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace teeio::vfio_user
