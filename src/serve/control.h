#pragma once

#include <string>
#include <string_view>

#include "serve/served_device.h"

namespace teeio::serve {

/// What a control connection may ask of the server.
class ControlTarget {
 public:
  virtual ~ControlTarget() = default;
  [[nodiscard]] virtual Fleet& fleet() = 0;
  /// Reads the machine file again. The error is ready to print; nothing has changed then.
  virtual std::expected<void, std::string> reload() = 0;
  virtual void stop() = 0;
};

/// One connection to the control socket: a JSON object a line, answered with
/// one each. docs/serve.md lists commands and events.
///
/// Nothing that comes in does more than get an error object: bad JSON, a wrong
/// type, a line above kMaxLine (which also ends the connection).
///
/// Lifetime: owned by whoever has the socket. Locking: none.
class ControlSession {
 public:
  static constexpr std::size_t kMaxLine = 64 * 1024;  ///< bytes

  explicit ControlSession(ControlTarget& target) : target_(target) {}

  /// Bytes came. What to send back: whole lines.
  [[nodiscard]] std::string receive(std::string_view bytes);
  /// The line for a subscriber; empty when this connection has not subscribed.
  [[nodiscard]] std::string event(const TdiChange& change) const;
  /// A line was too long: close after sending.
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  [[nodiscard]] std::string answer(std::string_view line);

  ControlTarget& target_;
  std::string in_;
  bool subscribed_ = false;
  bool broken_ = false;
};

}  // namespace teeio::serve
