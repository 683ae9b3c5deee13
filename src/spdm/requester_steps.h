#pragma once

#include "spdm/requester_state.h"

/// Queues the steps of the operations of Requester, which says what they are.
namespace teeio::spdm::requester {

void push_connect(State& state);
void push_digests(State& state, std::uint32_t session);
void push_certificates(State& state, std::uint8_t slot, std::uint32_t session);
void push_challenge(State& state, std::uint8_t slot, MeasurementSummary summary);
void push_measure(State& state, MeasurementsWanted wanted);
void push_extension_log(State& state, std::uint32_t session);
void push_session(State& state, Requester::SessionWanted wanted);
void push_psk_session(State& state, Psk psk, MeasurementSummary summary);
void push_heartbeat(State& state, std::uint32_t session);
void push_key_update(State& state, std::uint32_t session, Requester::KeyUpdate which);
void push_end_session(State& state, std::uint32_t session);
void push_app(State& state, std::uint32_t session, std::uint16_t standard_id, ByteView vendor_id,
              ByteView payload);
Result<Message> seal_app(State& state, std::uint32_t session, std::uint16_t standard_id,
                         ByteView vendor_id, ByteView payload);
Result<Bytes> open_app(State& state, std::uint32_t session, std::uint16_t standard_id,
                       ByteView vendor_id, const MessageView& answer);
void push_raw(State& state, std::uint32_t session, Bytes request);
void push_encapsulated(State& state, std::uint32_t session);

/// A step inside of a session that it names, or of none.
class SessionStep : public Step {
 public:
  explicit SessionStep(std::uint32_t session) : session_(session) {}
  [[nodiscard]] std::uint32_t session(const State& /*state*/) const override { return session_; }

 protected:
  /// ENXIO unless connected and the session, if it is one, established.
  [[nodiscard]] Result<void> need(const State& state) const;
  const std::uint32_t session_;
};

}  // namespace teeio::spdm::requester
