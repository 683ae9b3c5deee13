#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "serve/vfio_user/protocol.h"

namespace teeio::vfio_user {

/// What a client says of itself in VERSION; the defaults are the specification's.
struct Capabilities {
  std::uint64_t max_data_transfer = kMaxTransfer;  ///< `max_data_xfer_size`
  std::uint64_t max_fds = 1;                       ///< `max_msg_fds`
  bool write_multiple = false;
  bool twin_socket = false;

  /// The version data: JSON, its final zero byte included; empty: there is none. What is
  /// not known is left alone. Errors: EINVAL: it is no JSON object, not terminated, or
  /// one of the above has another type or no sense.
  static Result<Capabilities> parse(std::string_view text);
};

/// The answer's version data, with its final zero byte. `twin_socket`: the descriptor of the
/// second socket is the message's first.
[[nodiscard]] std::string offered_capabilities(const Capabilities& client, bool twin_socket);

}  // namespace teeio::vfio_user
