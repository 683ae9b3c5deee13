#include "spdm/requester_state.h"

#include <algorithm>
#include <utility>

#include "wire/spdm_capabilities.h"

namespace teeio::spdm::requester {
namespace {

/// Requests that interrupt what CHALLENGE would sign: DSP0274 1.2, 10.10.1.
bool resets_m1m2(wire::SpdmCode code) {
  using wire::SpdmCode;
  constexpr std::array kCodes{
      SpdmCode::kKeyExchange, SpdmCode::kGetMeasurements, SpdmCode::kFinish,
      SpdmCode::kPskExchange, SpdmCode::kPskFinish,       SpdmCode::kKeyUpdate,
      SpdmCode::kHeartbeat,   SpdmCode::kEndSession,      SpdmCode::kGetMeasurementExtensionLog};
  return std::ranges::find(kCodes, code) != kCodes.end();
}

Derivation derivation(const State& state) { return {state.version(), *state.suite.hash}; }

void begin_records(State& state, Session& session, const TrafficSecrets& secrets, KeyPhase phase) {
  if (session.channel) {
    session.channel->install(secrets);
  } else {
    SessionConfig config = secured_framing(state.config.settings.transport);
    config.id = session.id;
    config.sealing = Direction::kRequests;
    config.derivation = derivation(state);
    config.aead = *state.suite.aead;
    config.encrypted = state.both(wire::kSpdmCapEncrypt);
    session.channel.emplace(config, secrets);
  }
  session.log.start(state.config.observer, session.channel->config(), secrets, phase);
}

}  // namespace

State::State(RequesterConfig given) : config(std::move(given)) {
  if (!config.trust_anchors.empty()) anchors.emplace(config.trust_anchors);
}

std::optional<PeerSigner> State::signer(std::uint8_t slot) const {
  if (slot == kKnownKey) {
    if (!peer_key_hash) return std::nullopt;
    return PeerSigner{&*config.peer_key, &*peer_key_hash};
  }
  if (slot >= wire::kSpdmSlots || !slots.at(slot).verified) return std::nullopt;
  const VerifiedChain& chain = *slots.at(slot).verified;
  return PeerSigner{&chain.chain.chain.leaf().public_key(), &chain.hash};
}

Session* State::find(std::uint32_t id) {
  const auto at = std::ranges::find(sessions, id, [](const auto& s) { return s->id; });
  return at != sessions.end() ? at->get() : nullptr;
}

const Session* State::find(std::uint32_t id) const {
  const auto at = std::ranges::find(sessions, id, [](const auto& s) { return s->id; });
  return at != sessions.end() ? at->get() : nullptr;
}

void State::end(std::uint32_t id, SessionEnd reason) {
  const auto at = std::ranges::find(sessions, id, [](const auto& s) { return s->id; });
  if (at == sessions.end()) return;
  sessions.erase(at);
  if (opening == id) opening = kNoSession;
  if (last_opened == id) last_opened.reset();
  if (config.observer != nullptr) config.observer->session_ended(id, reason);
}

void State::forget() {
  while (!sessions.empty()) end(sessions.back()->id, SessionEnd::kReset);
  connected = false;
  agreed = {};
  suite = {};
  peer_multi_key = false;
  vca.clear();
  base.reset();
  m1m2.clear();
  l1l2.clear();
  multi_key_digests.clear();
  digests_may_enter = true;
  slot_mask = 0;
  for (PeerSlot& slot : slots) slot = {};
  peer_key_hash.reset();
}

wire::SpdmSizes State::sizes() const {
  return {.hash = suite.hash_size(),
          .signature = suite.signature_size(),
          .exchange_request = suite.exchange_request_size(),
          .exchange_response = suite.exchange_response_size(),
          .summary_hash = 0,
          .verify_data = suite.hash_size(),
          .multi_key = peer_multi_key};
}

std::size_t State::summary_size(MeasurementSummary wanted) const {
  return wanted == MeasurementSummary::kNone ? 0 : suite.hash_size();
}

void State::note_request(std::uint8_t code, std::uint32_t session) {
  if (!connected) return;
  const auto request = static_cast<wire::SpdmCode>(code);
  if (request != wire::SpdmCode::kGetDigests) digests_may_enter = false;
  if (request != wire::SpdmCode::kGetMeasurements) {
    Session* in = find(session);
    (in != nullptr ? in->l1l2 : l1l2).clear();
  }
  if (resets_m1m2(request)) m1m2.clear();
}

Result<void> State::need_connection() const {
  if (!connected) return fail(Errno::kNxio, "SPDM is not connected");
  return {};
}

Result<void> verify_peer(const State& state, std::uint8_t slot, crypto::SigningPurpose purpose,
                         const crypto::Digest& transcript, ByteView signature) {
  const auto peer = state.signer(slot);
  if (!peer) return fail(Errno::kNxio, "the slot's certificates were not read");
  const auto valid = peer->key->verify_spdm(
      {state.version(), purpose, *state.suite.asym, *state.suite.hash}, transcript, signature);
  if (!valid) return fail(Errno::kPerm, "the device's signature is wrong");
  return {};
}

void start_handshake(State& state, Session& session, ByteView secret) {
  const crypto::Digest th1 = session.transcript.digest();
  session.keys.emplace(session.psk ? KeySchedule::from_psk(derivation(state), secret, th1)
                                   : KeySchedule::from_exchange(derivation(state), secret, th1));
  if (session.in_the_clear) return;
  begin_records(state, session, session.keys->handshake(), KeyPhase::kHandshake);
}

void establish(State& state, Session& session) {
  const KeySchedule::Data data = session.keys->data(session.transcript.digest());
  begin_records(state, session, data.secrets, KeyPhase::kData);
  session.keys.reset();
  session.established = true;
  state.opening = kNoSession;
  state.last_opened = session.id;
  if (state.config.observer != nullptr) state.config.observer->session_started(session.id);
}

std::optional<std::uint16_t> free_session_half(State& state) {
  if (state.sessions.size() >= state.config.settings.limits.sessions) return std::nullopt;
  std::uint16_t half = state.last_session_half;
  do {
    --half;
    if (half == 0) half = 0xffff;
  } while (std::ranges::any_of(state.sessions,
                               [half](const auto& s) { return (s->id & 0xffffU) == half; }));
  state.last_session_half = half;
  return half;
}

}  // namespace teeio::spdm::requester
