// What sessions share, and HEARTBEAT, KEY_UPDATE, END_SESSION.
#include "spdm/responder_sessions.h"

#include <algorithm>

#include "spdm/framing.h"
#include "wire/spdm_capabilities.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

bool half_is_used(const State& state, std::uint16_t half) {
  return std::ranges::any_of(state.sessions,
                             [half](const auto& s) { return s->id >> 16U == half; });
}

Derivation derivation(const State& state) { return {state.version(), *state.suite.hash}; }

SessionConfig record_layer(const State& state, const Session& session) {
  SessionConfig config = secured_framing(state.config.settings.transport);
  config.id = session.id;
  config.sealing = Direction::kResponses;
  config.derivation = derivation(state);
  config.aead = *state.suite.aead;
  config.encrypted = state.can(wire::kSpdmCapEncrypt, wire::kSpdmCapEncrypt);
  return config;
}

void begin_records(const State& state, Session& session, const TrafficSecrets& secrets,
                   KeyPhase phase) {
  if (session.channel) {
    session.channel->install(secrets);
  } else {
    session.channel.emplace(record_layer(state, session), secrets);
  }
  session.log.start(state.config.observer, session.channel->config(), secrets, phase);
}

}  // namespace

std::optional<std::uint16_t> free_session_half(State& state) {
  if (state.sessions.size() >= state.config.settings.limits.sessions) {
    const auto unfinished = std::ranges::find_if(
        state.sessions, [](const auto& session) { return !session->established; });
    if (unfinished == state.sessions.end()) return std::nullopt;
    state.end((*unfinished)->id, SessionEnd::kHandshake);
  }
  // Halves are not used again soon: a late message of an old session must not
  // meet a new one.
  std::uint16_t half = state.last_session_half;
  do {
    --half;
    if (half == 0) half = 0xffff;
  } while (half_is_used(state, half));
  return half;
}

std::uint8_t heartbeat_period(const State& state) {
  return state.can(wire::kSpdmCapHeartbeat, wire::kSpdmCapHeartbeat)
             ? state.config.heartbeat_period_s
             : std::uint8_t{0};
}

void start_handshake(const State& state, Session& session, ByteView secret,
                     std::uint8_t /*secured_version*/) {
  const crypto::Digest th1 = session.transcript.digest();
  session.keys.emplace(session.psk ? KeySchedule::from_psk(derivation(state), secret, th1)
                                   : KeySchedule::from_exchange(derivation(state), secret, th1));
  if (session.in_the_clear) return;
  begin_records(state, session, session.keys->handshake(), KeyPhase::kHandshake);
}

crypto::Digest responder_verify_data(const Session& session) {
  return session.keys->finished(Direction::kResponses, session.transcript.digest());
}

bool requester_verify_data_holds(const Session& session, const crypto::Digest& th,
                                 ByteView verify_data) {
  return session.keys->is_finished(Direction::kRequests, th, verify_data);
}

Session* last_handshake_in_the_clear(State& state) {
  if (state.sessions.empty()) return nullptr;
  Session* last = state.sessions.back().get();
  return last->in_the_clear && !last->established ? last : nullptr;
}

std::unexpected<Refusal> refuse_handshake(State& state, Session& session) {
  if (!session.in_the_clear) {
    Refusal refusal{SpdmErrorCode::kDecryptError};
    refusal.ends_session = true;
    return std::unexpected(std::move(refusal));
  }
  state.end(session.id, SessionEnd::kHandshake);
  return refuse(SpdmErrorCode::kDecryptError);
}

void establish_afterwards(State& state, Session& session) {
  state.afterwards = State::Afterwards::kEstablish;
  state.afterwards_session = session.id;
}

void establish(State& state, Session& session) {
  const KeySchedule::Data data = session.keys->data(session.transcript.digest());
  begin_records(state, session, data.secrets, KeyPhase::kData);
  session.keys.reset();
  session.established = true;
  session.silent_s = 0;
  if (state.config.observer != nullptr) state.config.observer->session_started(session.id);
}

Reply heartbeat(Call& call) {
  const auto request = wire::SpdmHeartbeat::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kHeartbeat);
  wire::SpdmHeartbeatAck answer;
  answer.version = call.state.version();
  return answer.encode();
}

Reply key_update(Call& call) {
  const auto request = wire::SpdmKeyUpdate::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kKeyUpdate);
  Session& session = *call.session;
  SecuredSession& channel = *session.channel;
  switch (static_cast<wire::SpdmKeyOperation>(request->operation)) {
    case wire::SpdmKeyOperation::kUpdateKey:
    case wire::SpdmKeyOperation::kUpdateAllKeys: {
      const bool all = request->operation != std::to_underlying(wire::SpdmKeyOperation::kUpdateKey);
      if (session.key_operation != 0 || session.own_update_sent ||
          !channel.begin_update(Direction::kRequests))
        return refuse(SpdmErrorCode::kInvalidRequest);
      session.log.update(Direction::kRequests);
      if (all && channel.begin_update(Direction::kResponses))
        session.log.update(Direction::kResponses);
      session.key_operation = request->operation;
      break;
    }
    case wire::SpdmKeyOperation::kVerifyNewKey:
      if (session.key_operation == 0) return refuse(SpdmErrorCode::kInvalidRequest);
      // It came under the new key, or the update would be undone by now.
      if (channel.is_updating(Direction::kRequests)) return refuse(SpdmErrorCode::kInvalidRequest);
      channel.commit_update(Direction::kResponses);
      session.key_operation = 0;
      break;
    default:
      return refuse(SpdmErrorCode::kInvalidRequest);
  }
  wire::SpdmKeyUpdateAck answer;
  answer.version = call.state.version();
  answer.operation = request->operation;
  answer.tag = request->tag;
  return answer.encode();
}

Reply end_session(Call& call) {
  const auto request = wire::SpdmEndSession::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kEndSession);
  call.state.afterwards = State::Afterwards::kEnd;
  call.state.afterwards_session = call.session->id;
  if (request->clear_negotiated_state) call.state.clears_negotiated = true;
  wire::SpdmEndSessionAck answer;
  answer.version = call.state.version();
  return answer.encode();
}

}  // namespace teeio::spdm::responder
