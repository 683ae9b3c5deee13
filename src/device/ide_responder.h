#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "hw/config_space.h"
#include "hw/ide_port.h"
#include "object/trace.h"
#include "wire/ide_km.h"

namespace teeio::device {

/// Answers IDE_KM for the one port of an end point, and watches its streams.
///
/// Keys go to the stream whose register block software gave the stream ID, and a selective
/// one an association; hw::IdePort says when a stream is Secure. A key that leaves no
/// trace here does so at the root port's end of the link (Fact::kKeyUsed).
///
/// Locking: the card's lock.
class IdeResponder {
 public:
  /// Told when a stream that was Secure no longer is, or has another ID.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void stream_lost(std::uint8_t stream_id, std::string_view cause) = 0;
  };

  IdeResponder(object::Trace& trace, Bdf bdf, hw::ConfigSpace& config, std::size_t streams,
               const hw::IdeOffer& offer, Listener& listener);

  /// The answer's bytes, or why there is none (the channel then answers ERROR):
  /// what is no request, K_SET_GO for a key that was not programmed, and K_SET_GO
  /// and K_SET_STOP for a port or stream that does not exist: IDE_KM has no status
  /// for those. Stopping a key that is not in use is no error.
  ///
  /// The SPDM session that programs the first key has the port until it ends:
  /// requests over another one are refused (tee-io-validator, IdeKmTestCase 5.1).
  std::expected<Bytes, std::string_view> answer(ByteView request, std::uint32_t session);

  /// Why a TDI may not be locked to the stream over that session, or nullopt: it must
  /// exist, be a selective one (a guess: a link stream names no requester), be enabled,
  /// carry TC0 and have a key in use for each sub-stream and direction, all programmed over
  /// the same session.
  /// Source: TDISP ECN of 2022-07-27, 11.3.8 table 12 and 11.4.5, quoted in
  /// caliptra-mcu-sw issues 1921 and 1922.
  [[nodiscard]] std::optional<std::string_view> lock_fault(std::uint8_t stream_id,
                                                           std::uint32_t session) const;
  /// The session is gone: so are the keys that were programmed over it, and their
  /// streams are Insecure. Source: as above, 11.4.5.
  void session_ended(std::uint32_t session);

  /// Whether a config access to `offset` touches the IDE capability.
  [[nodiscard]] bool contains(std::uint16_t offset) const;
  /// To be called after a configuration write to it was applied.
  void registers_written();
  /// Conventional reset: all streams are free.
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
  /// The block whose keys a message means; nullopt when port, stream or selector
  /// name none.
  template <class Message>
  [[nodiscard]] std::optional<std::size_t> block_for(const Message& message) const;
  void look_again(std::string_view cause);

  /// A block as it was when last looked at.
  struct Seen {
    bool secure = false;
    std::uint8_t stream_id = 0;
  };
  object::Trace& trace_;
  const Bdf bdf_;
  hw::ConfigSpace& config_;
  hw::IdePort port_;
  Listener& listener_;
  std::optional<std::uint32_t> owner_;  ///< the session that programmed the keys
  std::vector<Seen> seen_;
};

}  // namespace teeio::device
