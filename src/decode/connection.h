#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "wire/spdm_dispatch.h"

namespace teeio::decode {

/// What a reader of an SPDM conversation must remember, because layouts depend on
/// it: capabilities, algorithms, and what the last request asked for. Encapsulated
/// requests have a memory of their own, since they go the other way in between.
class Connection {
 public:
  /// Looks at a message that was decoded or will be; anything else is ignored.
  /// `encapsulated`: it is inside of another one.
  void observe(ByteView message, bool encapsulated);

  /// For decoding `message`, after the observe() of everything before it.
  [[nodiscard]] wire::SpdmSizes sizes_for(ByteView message, bool encapsulated) const;

 private:
  /// What one direction's last request asked for.
  struct Asked {
    bool summary = false;
    bool signature = false;
  };
  void observe_request(const wire::SpdmHeader& header, ByteView message, Asked& asked);
  [[nodiscard]] bool clear_handshake() const;
  [[nodiscard]] std::size_t summary_size(const Asked& asked) const;

  std::uint32_t requester_caps_ = 0;
  std::uint32_t responder_caps_ = 0;
  wire::SpdmSizes sizes_;                ///< hash, responder's signature, exchange
  std::size_t requester_signature_ = 0;  ///< bytes
  Asked asked_;
  Asked encapsulated_asked_;
};

}  // namespace teeio::decode
