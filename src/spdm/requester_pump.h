#pragma once

#include "spdm/requester_state.h"
#include "wire/spdm_error.h"

namespace teeio::spdm::requester {

/// How the request of the step at work travels: whole or in chunks, sealed or
/// not, once or again after the peer was not ready.
///
/// Lifetime: one call of the requester's.
class Pump {
 public:
  explicit Pump(State& state) : state_(state) {}

  /// The message to carry now; nullptr: nothing is left, or the operation failed.
  const Message* request();
  Result<void> take(const MessageView& answer);

 private:
  Result<void> begin();
  Result<void> put_out(ByteView message);
  Result<Bytes> opened(const MessageView& answer);
  Result<void> take_plain(ByteView message);
  Result<void> take_error(const wire::SpdmHeader& header, ByteView message);
  Result<void> take_answer(ByteView message);
  /// Busy, or ResponseNotReady of the request at work: its answer comes later.
  [[nodiscard]] bool asks_to_wait(const wire::SpdmError& error) const;
  Result<void> wait(std::optional<Bytes> instead, std::uint64_t wait_us);
  Result<void> begin_fetching(std::uint8_t handle);
  Result<void> ask_chunk();
  Result<void> take_chunk(ByteView message);
  Result<void> send_chunk();
  Result<void> take_chunk_ack(ByteView message);
  /// The operation failed: everything queued goes, and a half-open session.
  std::unexpected<Error> give_up(const Error& why);

  State& state_;
};

}  // namespace teeio::spdm::requester
