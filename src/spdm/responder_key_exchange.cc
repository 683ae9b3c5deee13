// KEY_EXCHANGE and FINISH.
#include <algorithm>

#include "crypto/kem.h"
#include "crypto/key_exchange.h"
#include "crypto/random.h"
#include "spdm/opaque.h"
#include "spdm/responder_sessions.h"
#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_session.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

bool handshake_in_the_clear(const State& state) {
  return state.can(wire::kSpdmCapHandshakeInTheClear, wire::kSpdmCapHandshakeInTheClear);
}

bool reuses_chain(const State& state) {
  return state.config.reuses_requester_chain && state.challenged && !state.peer_multi_key;
}

/// MutAuthRequested: how the requester is asked to prove itself; 0: it is not. Refused when it
/// must and cannot.
std::expected<std::uint8_t, Refusal> mutual_auth_for(const State& state) {
  if (state.config.mutual_auth == MutualAuth::kNever) return 0;
  if (state.suite.req_asym) {
    if (reuses_chain(state)) return wire::kSpdmMutAuth;
    if (state.can(wire::kSpdmCapMutAuth | wire::kSpdmCapEncap,
                  wire::kSpdmCapMutAuth | wire::kSpdmCapEncap | wire::kSpdmCapCert))
      return wire::kSpdmMutAuthEncapsulated;
    if (state.config.requester_key &&
        state.can(wire::kSpdmCapMutAuth, wire::kSpdmCapMutAuth | wire::kSpdmCapPubKeyId))
      return wire::kSpdmMutAuth;
  }
  if (state.config.mutual_auth == MutualAuth::kRequired)
    return refuse(state.version() >= wire::kSpdmVersion13 ? SpdmErrorCode::kInvalidPolicy
                                                          : SpdmErrorCode::kUnspecified);
  return 0;
}

/// What stands for the requester that a session wants proof of; nullopt: it has not told yet.
struct RequesterProof {
  const crypto::PublicKey* key = nullptr;
  crypto::Digest hash;
  std::uint8_t slot = 0;
};
std::optional<RequesterProof> requester_proof(const State& state, const Session& session) {
  if (session.mut_auth == wire::kSpdmMutAuth && !session.peer)
    return RequesterProof{&*state.config.requester_key,
                          crypto::hash(*state.suite.hash, state.config.requester_key->der()),
                          kKnownKey};
  if (!session.peer) return std::nullopt;
  return RequesterProof{&session.peer->chain.chain.leaf().public_key(), session.peer->hash,
                        session.peer_slot};
}

/// TH up to the chain: message A, the DIGESTS of multi-key connections, Ct.
crypto::RunningHash begin_transcript(const State& state, const LocalSlot& slot) {
  crypto::RunningHash transcript = *state.base;
  if (state.multi_key) transcript.update(state.multi_key_digests);
  transcript.update(slot.hash);
  return transcript;
}

struct Exchange {
  const LocalSlot* slot = nullptr;
  Bytes summary;
  Bytes opaque;
  std::uint8_t secured_version = 0;
  std::uint8_t mut_auth = 0;
  bool all_events = false;
};

/// Everything that may be refused before a session exists.
std::expected<Exchange, Refusal> prepare(State& state, const wire::SpdmKeyExchange& request) {
  Exchange exchange;
  if (!state.suite.aead) return refuse(SpdmErrorCode::kInvalidRequest);
  exchange.slot = state.signer(request.slot);
  if (exchange.slot == nullptr) return refuse(SpdmErrorCode::kInvalidRequest);
  if (state.multi_key && (exchange.slot->credential->key_usage & wire::kSpdmKeyUseKeyExchange) == 0)
    return refuse(SpdmErrorCode::kInvalidRequest);
  const auto all_events = wants_all_events(state, request.policy);
  if (!all_events) return std::unexpected(all_events.error());
  exchange.all_events = *all_events;
  auto summary = summary_hash(state, request.summary);
  if (!summary) return std::unexpected(std::move(summary.error()));
  exchange.summary = std::move(*summary);
  auto choice = choose_secured_version(state.agreed, request.opaque, state.config.secured_versions);
  if (!choice) return refuse(SpdmErrorCode::kInvalidRequest);
  exchange.opaque = std::move(choice->opaque);
  exchange.secured_version = choice->version;
  auto mutual = mutual_auth_for(state);
  if (!mutual) return std::unexpected(std::move(mutual.error()));
  exchange.mut_auth = *mutual;
  return exchange;
}

/// The answer to the requester's ExchangeData, and the secret that both have then.
struct ExchangedKeys {
  Bytes answer;
  crypto::Secret secret;
};
Result<ExchangedKeys> exchange_keys(const Suite& suite, ByteView theirs) {
  if (suite.kem) {
    TEEIO_ASSIGN(auto made, crypto::encapsulate(*suite.kem, theirs));
    return ExchangedKeys{std::move(made.ciphertext), std::move(made.secret)};
  }
  const auto ephemeral = crypto::EphemeralKey::generate(*suite.group);
  TEEIO_ASSIGN(auto secret, ephemeral.derive(theirs));
  const ByteView ours = ephemeral.exchange_data();
  return ExchangedKeys{Bytes(ours.begin(), ours.end()), std::move(secret)};
}

}  // namespace

Reply key_exchange(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmKeyExchange::decode(call.request, state.sizes());
  if (!request) return refuse(request.error(), wire::SpdmCode::kKeyExchange);
  auto prepared = prepare(state, *request);
  if (!prepared) return std::unexpected(std::move(prepared.error()));
  const Exchange& exchange = *prepared;
  const auto half = free_session_half(state);
  if (!half) return refuse(SpdmErrorCode::kSessionLimitExceeded);
  const auto keys = exchange_keys(state.suite, request->exchange);
  if (!keys) return refuse(SpdmErrorCode::kInvalidRequest);

  wire::SpdmKeyExchangeRsp answer;
  answer.version = state.version();
  answer.heartbeat_period = heartbeat_period(state);
  answer.session_id = *half;
  answer.mut_auth = exchange.mut_auth;
  const bool reuses = exchange.mut_auth == wire::kSpdmMutAuth && reuses_chain(state);
  if (exchange.mut_auth == wire::kSpdmMutAuth)
    answer.req_slot = reuses ? state.challenged_slot : kKnownKeyInFourBits;
  crypto::fill_random(answer.random);
  answer.exchange = keys->answer;
  answer.summary_hash = exchange.summary;
  answer.opaque = exchange.opaque;
  Bytes bytes = answer.encode();

  auto session = std::make_unique<Session>(begin_transcript(state, *exchange.slot));
  session->id = wire::spdm_session_id(request->session_id, *half);
  if (!state.suite.kem) report_dhe_secret(state.config.observer, session->id, keys->secret.view());
  session->in_the_clear = handshake_in_the_clear(state);
  session->mut_auth = answer.mut_auth;
  if (reuses) session->peer = state.challenged;
  if (reuses) session->peer_slot = state.challenged_slot;
  session->heartbeat_period_s = answer.heartbeat_period;
  if (exchange.all_events) subscribe_to_all_events(state, *session);
  session->transcript.update(request->wire).update(bytes);
  const auto signature = exchange.slot->credential->identity->key.sign_spdm(
      {state.version(), crypto::SigningPurpose::kResponderKeyExchangeRsp, *state.suite.asym,
       *state.suite.hash},
      session->transcript.digest());
  if (!signature) return refuse(SpdmErrorCode::kUnspecified);
  bytes.insert(bytes.end(), signature->begin(), signature->end());
  session->transcript.update(*signature);
  if (state.find(session->id) != nullptr) return refuse(SpdmErrorCode::kSessionLimitExceeded);
  start_handshake(state, *session, keys->secret.view(), exchange.secured_version);
  if (!session->in_the_clear) {
    const crypto::Digest verify_data = responder_verify_data(*session);
    session->transcript.update(verify_data);
    bytes.insert(bytes.end(), verify_data.view().begin(), verify_data.view().end());
  }
  if (exchange.mut_auth == wire::kSpdmMutAuthEncapsulated)
    start_encapsulated(state, EncapsulatedFlow::Purpose::kSession, session->id, 0);
  state.last_session_half = *half;
  state.sessions.push_back(std::move(session));
  return bytes;
}

Reply finish(Call& call) {
  State& state = call.state;
  Session* session = call.session;
  if (session == nullptr) {
    // In the clear there is one handshake at a time: the last.
    session = last_handshake_in_the_clear(state);
    if (session == nullptr) return refuse(session_required(state));
  } else if (session->in_the_clear) {
    return refuse(session_required(state));
  }
  if (session->psk) return refuse(SpdmErrorCode::kUnexpectedRequest);
  wire::SpdmSizes sizes = state.sizes();
  sizes.signature = session->mut_auth != 0 ? state.suite.req_signature_size() : 0;
  const auto request = wire::SpdmFinish::decode(call.request, sizes);
  if (!request) return refuse(request.error(), wire::SpdmCode::kFinish);
  if ((session->mut_auth != 0) != !request->signature.empty())
    return refuse(SpdmErrorCode::kInvalidRequest);
  // Transcripts go on only when everything holds.
  crypto::RunningHash transcript = session->transcript;
  const std::size_t proofs = request->signature.size() + request->verify_data.size();
  std::optional<RequesterProof> proof;
  if (session->mut_auth != 0) {
    proof = requester_proof(state, *session);
    if (!proof || request->req_slot != proof->slot) return refuse(SpdmErrorCode::kInvalidRequest);
    transcript.update(session->peer_digests).update(proof->hash);
  }
  transcript.update(request->wire.first(request->wire.size() - proofs));
  if (proof) {
    const auto valid =
        proof->key->verify_spdm({state.version(), crypto::SigningPurpose::kRequesterFinish,
                                 *state.suite.req_asym, *state.suite.hash},
                                transcript.digest(), request->signature);
    if (!valid) return refuse_handshake(state, *session);
    transcript.update(request->signature);
  }
  if (!requester_verify_data_holds(*session, transcript.digest(), request->verify_data))
    return refuse_handshake(state, *session);
  transcript.update(request->verify_data);
  session->transcript = std::move(transcript);

  wire::SpdmFinishRsp answer;
  answer.version = state.version();
  Bytes bytes = answer.encode();
  session->transcript.update(bytes);
  if (session->in_the_clear) {
    const crypto::Digest verify_data = responder_verify_data(*session);
    session->transcript.update(verify_data);
    bytes.insert(bytes.end(), verify_data.view().begin(), verify_data.view().end());
  }
  establish_afterwards(state, *session);
  return bytes;
}

}  // namespace teeio::spdm::responder
