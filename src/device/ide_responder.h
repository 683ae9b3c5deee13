#pragma once

#include <cstdint>
#include <expected>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "device/ide_capability.h"
#include "device/ide_keys.h"
#include "object/trace.h"
#include "wire/ide_km.h"

namespace teeio::device {

/// Answers IDE_KM for the one port of an end point, and keeps the state of its
/// streams: a stream is Secure while software has enabled it and all keys of a
/// key set are in use.
///
/// Locking: the card's lock.
class IdeResponder {
 public:
  /// Told when a stream that had its keys in use, or was Secure, no longer is.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void stream_lost(std::uint8_t stream_id, std::string_view cause) = 0;
  };

  IdeResponder(object::Trace& trace, Bdf bdf, IdeCapability& capability, Listener& listener);

  /// The answer's bytes, or why there is none (the channel then answers ERROR):
  /// what is no request, or K_SET_GO and K_SET_STOP for a port, stream or key that
  /// does not exist, for which IDE_KM has no status.
  std::expected<Bytes, std::string_view> answer(ByteView request);

  /// `stream_id` belongs to a slot and all keys of one of its key sets are in use.
  [[nodiscard]] bool keys_ready(std::uint8_t stream_id) const;
  /// Software wrote to the IDE capability: looks at every stream again. A slot
  /// that left Secure, or whose stream ID changed, forgets its keys.
  void capability_written();
  /// Conventional reset: no keys.
  void reset();

 private:
  using Answer = std::expected<wire::IdeKmMessage, std::string_view>;
  Answer handle(const wire::IdeKmQuery& query);
  Answer handle(const wire::IdeKmKeyProg& request);
  Answer handle(const wire::IdeKmKSetGo& request);
  Answer handle(const wire::IdeKmKSetStop& request);
  template <class Response>
  Answer handle(const Response& response);

  wire::KpAckStatus program(const wire::IdeKmKeyProg& request);
  /// The slot whose keys a message means; nullopt when port, stream or selector
  /// name none.
  template <class Message>
  std::optional<unsigned> slot_for(const Message& message) const;
  void refresh(unsigned slot, std::string_view cause);

  struct Stream {
    IdeKeys keys;
    std::uint8_t stream_id = 0;
    bool ready = false;   ///< as last looked at
    bool secure = false;  ///< as last looked at
  };
  object::Trace& trace_;
  const Bdf bdf_;
  IdeCapability& capability_;
  Listener& listener_;
  std::vector<Stream> streams_;  ///< one a slot
};

}  // namespace teeio::device
