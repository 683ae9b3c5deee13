#pragma once

#include "spdm/responder_state.h"

/// What KEY_EXCHANGE, PSK_EXCHANGE and their ends share.
namespace teeio::spdm::responder {

/// This end's half of a new session's ID, never 0; nullopt: no more sessions.
/// A handshake that was left unfinished gives way to a new one when there is no
/// other room.
[[nodiscard]] std::optional<std::uint16_t> free_session_half(State& state);
/// Seconds; 0: sessions have no heartbeat.
[[nodiscard]] std::uint8_t heartbeat_period(const State& state);

/// Handshake keys from the shared secret (or PSK) and TH1, which is what the
/// session's transcript holds now.
void start_handshake(const State& state, Session& session, ByteView secret,
                     std::uint8_t secured_version);
/// HMAC over the session's transcript as it is.
[[nodiscard]] crypto::Digest responder_verify_data(const Session& session);
[[nodiscard]] bool requester_verify_data_holds(const Session& session, const crypto::Digest& th,
                                               ByteView verify_data);

/// nullptr: there is none.
[[nodiscard]] Session* last_handshake_in_the_clear(State& state);
/// ERROR DecryptError, and the session's end: its proof is wrong.
[[nodiscard]] std::unexpected<Refusal> refuse_handshake(State& state, Session& session);
/// Data keys from TH2, once the answer at hand is sealed with the handshake's.
void establish_afterwards(State& state, Session& session);

}  // namespace teeio::spdm::responder
