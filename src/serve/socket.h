#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/fd.h"

namespace teeio::serve {

/// "HOST:PORT" or "[HOST]:PORT"; HOST is a name or an address.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  /// nullopt-like error: a sentence that says what is wrong with `text`.
  static std::expected<Address, std::string> parse(const std::string& text);
  [[nodiscard]] std::string str() const;
};

// Errors are ready to print.
/// Listens, without blocking; port 0: a free one.
[[nodiscard]] std::expected<Fd, std::string> listen_tcp(const Address& address);
/// Removes what was at `path` if it is a socket, and listens there. The path is
/// the caller's to unlink.
[[nodiscard]] std::expected<Fd, std::string> listen_unix(const std::string& path);
/// A connection, blocking, that gives up a read or write after `timeout_ms`.
[[nodiscard]] std::expected<Fd, std::string> connect_tcp(const Address& address,
                                                         unsigned timeout_ms);

/// Where a socket is bound, or what it is connected to.
[[nodiscard]] std::string local_name(int socket);
[[nodiscard]] std::string peer_name(int socket);

/// Messages go out at once: a peer that waits for an answer waits for nothing else.
void send_at_once(int socket);
/// What came is acknowledged at once. DMTF's requester sends a message in four
/// pieces without TCP_NODELAY and would wait for each delayed acknowledgement.
/// Linux forgets the option: to be called after each read.
void acknowledge_at_once(int socket);

}  // namespace teeio::serve
