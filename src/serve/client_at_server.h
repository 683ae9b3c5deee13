#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "serve/capture.h"
#include "serve/channel.h"
#include "serve/connection.h"
#include "serve/served_device.h"

namespace teeio::serve {

/// A peer of `teeio serve` on its connection.
///
/// Lifetime: of the connection. The fleet and the capture outlive it. Locking: none; one thread.
class ClientAtServer final : private ConnectionOwner {
 public:
  struct Place {
    Fleet& fleet;
    std::size_t device;
    Capture& capture;
  };
  using Maker = std::function<std::unique_ptr<ServedDevice>()>;
  /// `make_own`: makes the device that only this peer talks to, when it first says something;
  /// empty: the fleet's, as others do.
  ClientAtServer(Fd socket, const Place& place, Maker make_own,
                 std::optional<PlatformTransport> only);

  /// What to do after the socket became readable.
  Connection::Next read();
  /// Of the fleet.
  [[nodiscard]] std::size_t device() const { return place_.device; }
  /// nullptr: it has none of its own, or has not said anything.
  [[nodiscard]] ServedDevice* own_device() const { return own_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// A whole message has come, so that it is somebody who speaks the protocol.
  [[nodiscard]] bool talks() const { return talks_; }
  /// When something came last, in the server's count.
  std::uint64_t heard = 0;

  Channel channel;

 private:
  [[nodiscard]] ServedDevice& served();
  // ConnectionOwner
  Bytes answer(PlatformTransport transport, ByteView packet) override;
  Bytes answer_tdisp(ByteView message) override { return served().answer_tdisp(message); }
  void want_encapsulated(PlatformTransport transport, PlatformCommand command,
                         ByteView payload) override {
    served().want_encapsulated(transport, command, payload);
  }
  void log(const std::string& line) override;

  const Place place_;
  const Maker make_own_;
  std::unique_ptr<ServedDevice> own_;
  const std::string name_;
  Connection connection_;
  bool talks_ = false;
};

/// A line of the log, on stderr.
void say(const std::string& line);

}  // namespace teeio::serve
