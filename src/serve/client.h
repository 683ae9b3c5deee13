#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/bytes.h"
#include "base/fd.h"
#include "serve/bus.h"
#include "serve/platform_message.h"
#include "serve/socket.h"

namespace teeio::serve {

/// The requester's end of the socket protocol: one message, then its answer; or a bus, which
/// has no commands but the normal one.
///
/// Lifetime: says CONTINUE and closes its connection: DMTF's responder ends when a
/// requester just leaves. Locking: none.
class Client {
 public:
  Client(Client&&) noexcept = default;
  Client& operator=(Client&&) noexcept = default;
  ~Client();

  /// Error: ready to print.
  static std::expected<Client, std::string> connect(const Address& address,
                                                    PlatformTransport transport,
                                                    unsigned timeout_ms);
  /// Of a bus, which outlives it.
  static Client over(Bus& bus, PlatformTransport transport, unsigned timeout_ms) {
    Client client(Fd(), transport, timeout_ms);
    client.bus_ = &bus;
    return client;
  }

  using Loss = serve::Loss;
  /// The answer's payload, whatever command it carries, within the time limit: from the
  /// first byte sent to the last one read, however slowly they come. After a Loss the
  /// connection is of no use any more.
  std::expected<Bytes, Loss> exchange(PlatformCommand command, ByteView payload);
  std::expected<Bytes, Loss> receive();

  [[nodiscard]] PlatformTransport transport() const { return transport_; }
  /// Of one exchange.
  [[nodiscard]] unsigned timeout_ms() const { return timeout_ms_; }

 private:
  Client(Fd socket, PlatformTransport transport, unsigned timeout_ms)
      : socket_(std::move(socket)), transport_(transport), timeout_ms_(timeout_ms) {}
  /// When an exchange that begins now has taken too long.
  [[nodiscard]] std::uint64_t deadline_ns() const;
  /// Waits for `events` of poll(); false: the time is over.
  [[nodiscard]] bool wait(short events, std::uint64_t deadline_ns) const;
  bool send(ByteView bytes, std::uint64_t deadline_ns);
  std::expected<Bytes, Loss> receive(std::uint64_t deadline_ns);
  std::expected<Bytes, Loss> read(std::size_t size, std::uint64_t deadline_ns);

  Fd socket_;
  Bus* bus_ = nullptr;
  PlatformTransport transport_;
  unsigned timeout_ms_;
  bool lost_ = false;
};

}  // namespace teeio::serve
