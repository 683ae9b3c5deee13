#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/fd.h"

namespace teeio::serve {

/// A connected socket with what is still to be sent.
struct Channel {
  Fd socket;
  Bytes unsent;
  bool closing = false;  ///< once everything is sent

  void queue(ByteView bytes) { unsent.insert(unsent.end(), bytes.begin(), bytes.end()); }
  /// false: the peer is gone.
  bool flush();
  [[nodiscard]] bool finished() const { return closing && unsent.empty(); }
  /// What poll() is to wait for.
  [[nodiscard]] short events() const;
};

/// What came, up to 64 KiB; nullopt: the peer closed its end or is gone.
[[nodiscard]] std::optional<Bytes> read_some(int socket);

}  // namespace teeio::serve
