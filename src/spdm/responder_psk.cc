// PSK_EXCHANGE and PSK_FINISH.
#include <algorithm>

#include "crypto/random.h"
#include "spdm/opaque.h"
#include "spdm/responder_sessions.h"
#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_session.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

/// Bytes of the responder's context: as many as its hash, at least 32.
constexpr std::size_t kMinContext = 32;

const Psk* find_psk(const ResponderConfig& config, ByteView hint) {
  // No hint: there is one key, and both know it.
  if (hint.empty() && config.psks.size() == 1) return &config.psks.front();
  for (const Psk& psk : config.psks)
    if (std::ranges::equal(psk.hint, hint)) return &psk;
  return nullptr;
}

}  // namespace

Reply psk_exchange(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmPskExchange::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kPskExchange);
  if (!state.suite.aead || request->context.empty()) return refuse(SpdmErrorCode::kInvalidRequest);
  const Psk* psk = find_psk(state.config, request->hint);
  if (psk == nullptr) return refuse(SpdmErrorCode::kInvalidRequest);
  const auto all_events = wants_all_events(state, request->policy);
  if (!all_events) return std::unexpected(all_events.error());
  auto summary = summary_hash(state, request->summary);
  if (!summary) return std::unexpected(std::move(summary.error()));
  const auto choice =
      choose_secured_version(state.agreed, request->opaque, state.config.secured_versions);
  if (!choice) return refuse(SpdmErrorCode::kInvalidRequest);
  const auto half = free_session_half(state);
  if (!half) return refuse(SpdmErrorCode::kSessionLimitExceeded);

  const bool needs_finish = state.can(wire::kSpdmCapPskWithContext, 0);
  Bytes context;
  if (needs_finish) {
    context.resize(std::max(kMinContext, state.suite.hash_size()));
    crypto::fill_random(context);
  }
  wire::SpdmPskExchangeRsp answer;
  answer.version = state.version();
  answer.heartbeat_period = heartbeat_period(state);
  answer.session_id = *half;
  answer.summary_hash = *summary;
  answer.context = context;
  answer.opaque = choice->opaque;
  Bytes bytes = answer.encode();

  auto session = std::make_unique<Session>(*state.base);
  session->id = wire::spdm_session_id(request->session_id, *half);
  session->psk = true;
  session->heartbeat_period_s = answer.heartbeat_period;
  if (*all_events) subscribe_to_all_events(state, *session);
  session->transcript.update(request->wire).update(bytes);
  if (state.find(session->id) != nullptr) return refuse(SpdmErrorCode::kSessionLimitExceeded);
  start_handshake(state, *session, psk->key, choice->version);
  const crypto::Digest verify_data = responder_verify_data(*session);
  session->transcript.update(verify_data);
  bytes.insert(bytes.end(), verify_data.view().begin(), verify_data.view().end());
  state.last_session_half = *half;
  state.sessions.push_back(std::move(session));
  // Without a context of ours there is nothing to confirm (DSP0274 1.2, 10.18).
  if (!needs_finish) establish_afterwards(state, *state.sessions.back());
  return bytes;
}

Reply psk_finish(Call& call) {
  State& state = call.state;
  Session* session = call.session;
  if (session == nullptr) return refuse(session_required(state));
  if (!session->psk) return refuse(SpdmErrorCode::kUnexpectedRequest);
  const auto request = wire::SpdmPskFinish::decode(call.request, state.sizes());
  if (!request) return refuse(request.error(), wire::SpdmCode::kPskFinish);
  crypto::RunningHash transcript = session->transcript;
  transcript.update(request->wire.first(request->wire.size() - request->verify_data.size()));
  if (!requester_verify_data_holds(*session, transcript.digest(), request->verify_data))
    return refuse_handshake(state, *session);
  transcript.update(request->verify_data);
  session->transcript = std::move(transcript);
  wire::SpdmPskFinishRsp answer;
  answer.version = state.version();
  Bytes bytes = answer.encode();
  session->transcript.update(bytes);
  establish_afterwards(state, *session);
  return bytes;
}

}  // namespace teeio::spdm::responder
