#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/spdm_dispatch.h"

namespace teeio::decode {

/// What a reader of an SPDM conversation must remember, because layouts depend on
/// it: capabilities, algorithms, and what the last request asked for. Encapsulated
/// requests have a memory of their own, since they go the other way in between.
class Connection {
 public:
  /// For decoding the message of `size` bytes that begins with `header`, after the observe()
  /// of everything before it. `encapsulated`: it is inside of another one.
  [[nodiscard]] wire::SpdmSizes sizes_for(const wire::SpdmHeader& header, std::size_t size,
                                          bool encapsulated) const;

  /// Every message that has a header, then those that could be decoded as what they are.
  void observe(const wire::SpdmHeader& header, bool encapsulated);
  template <class Message>
  void observe(const Message& /*other*/, bool /*encapsulated*/) {}
  void observe(const wire::SpdmGetCapabilities& m, bool encapsulated);
  void observe(const wire::SpdmCapabilities& m, bool encapsulated);
  void observe(const wire::SpdmAlgorithms& m, bool encapsulated);
  void observe(const wire::SpdmGetMeasurements& m, bool encapsulated);
  void observe(const wire::SpdmGetEndpointInfo& m, bool encapsulated);

 private:
  /// What one direction's last request asked for.
  struct Asked {
    bool summary = false;
    bool signature = false;
  };
  [[nodiscard]] Asked& asked(bool encapsulated) {
    return encapsulated ? encapsulated_asked_ : asked_;
  }
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
