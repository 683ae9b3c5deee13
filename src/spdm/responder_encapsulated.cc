// GET_ENCAPSULATED_REQUEST, DELIVER_ENCAPSULATED_RESPONSE: requests of this end.
#include <algorithm>
#include <array>
#include <bit>

#include "crypto/random.h"
#include "spdm/responder_state.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_encapsulated.h"
#include "wire/spdm_events.h"
#include "wire/spdm_measurements.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;
using Step = EncapsulatedFlow::Step;
using Purpose = EncapsulatedFlow::Purpose;
using Taken = std::expected<void, Refusal>;

/// What a portion of the requester's chain leaves for the envelopes around it.
constexpr std::uint32_t kEnvelopes = 32;
constexpr std::uint32_t kMaxPortion = 0x1000;

std::uint32_t portion(const State& state) {
  std::uint32_t transfer = state.config.settings.data_transfer_size;
  if (state.agreed.peer_data_transfer_size != 0)
    transfer = std::min(transfer, state.agreed.peer_data_transfer_size);
  return std::min(transfer - kEnvelopes, kMaxPortion);
}

wire::SpdmSizes requester_sizes(const State& state) {
  wire::SpdmSizes sizes = state.sizes();
  sizes.signature = state.suite.req_signature_size();
  return sizes;
}

Bytes challenge_request(State& state, EncapsulatedFlow& flow) {
  wire::SpdmChallenge request;
  request.version = state.version();
  request.slot = flow.slot;
  crypto::fill_random(request.nonce);
  return request.encode();
}

Bytes key_update_request(State& state, Session& session) {
  wire::SpdmKeyUpdate request;
  request.version = state.version();
  request.operation =
      std::to_underlying(session.own_update_sent ? wire::SpdmKeyOperation::kVerifyNewKey
                                                 : wire::SpdmKeyOperation::kUpdateKey);
  std::array<std::byte, 1> tag{};
  crypto::fill_random(tag);
  request.tag = std::to_integer<std::uint8_t>(tag[0]);
  return request.encode();
}

/// The request of the step at hand; kept until its response has come.
const Bytes& next_request(State& state, Session* session) {
  EncapsulatedFlow& flow = state.encapsulated;
  switch (flow.step) {
    case Step::kIdle:
      flow.pending.clear();
      break;
    case Step::kDigests: {
      wire::SpdmGetDigests request;
      request.version = state.version();
      flow.pending = request.encode();
      break;
    }
    case Step::kCertificate: {
      wire::SpdmGetCertificate request;
      request.version = state.version();
      request.slot = flow.slot;
      request.offset = static_cast<std::uint32_t>(flow.chain.size());
      request.length = portion(state);
      flow.pending = request.encode();
      break;
    }
    case Step::kChallenge:
      flow.pending = challenge_request(state, flow);
      break;
    case Step::kKeyUpdate:
      flow.pending = key_update_request(state, *session);
      break;
    case Step::kInfo: {
      wire::SpdmGetEndpointInfo request;
      request.version = state.version();
      flow.pending = request.encode();
      break;
    }
    case Step::kEvents:
      flow.pending = send_event_request(state, *session);
      break;
  }
  return flow.pending;
}

std::unexpected<Refusal> bad_response() { return refuse(SpdmErrorCode::kInvalidResponseCode); }

void note(EncapsulatedFlow& flow, ByteView response) {
  if (flow.transcript) flow.transcript->update(flow.pending).update(response);
}

Taken take_digests(State& state, Session* session, ByteView response) {
  EncapsulatedFlow& flow = state.encapsulated;
  wire::SpdmSizes sizes = requester_sizes(state);
  sizes.multi_key = state.peer_multi_key;
  const auto digests = wire::SpdmDigests::decode(response, sizes);
  if (!digests || digests->provisioned == 0) return bad_response();
  if ((digests->provisioned & (1U << flow.slot)) == 0)
    flow.slot = static_cast<std::uint8_t>(std::countr_zero(digests->provisioned));
  const auto below = static_cast<unsigned>(digests->provisioned) & ((1U << flow.slot) - 1U);
  const ByteView digest = digests->digests.subspan(
      static_cast<std::size_t>(std::popcount(below)) * sizes.hash, sizes.hash);
  flow.digests.assign(digest.begin(), digest.end());
  note(flow, digests->wire);
  if (session != nullptr && state.peer_multi_key)
    session->peer_digests.assign(digests->wire.begin(), digests->wire.end());
  flow.step = Step::kCertificate;
  return {};
}

Taken take_certificate(State& state, Session* session, ByteView response) {
  EncapsulatedFlow& flow = state.encapsulated;
  const auto certificate = wire::SpdmCertificate::decode(response);
  if (!certificate || certificate->slot != flow.slot || certificate->portion.empty())
    return bad_response();
  const std::size_t total =
      flow.chain.size() + certificate->portion.size() + certificate->remainder;
  if (total > state.config.settings.limits.certificate_chain_bytes) return bad_response();
  flow.chain.insert(flow.chain.end(), certificate->portion.begin(), certificate->portion.end());
  note(flow, certificate->wire);
  if (certificate->remainder != 0) return {};
  auto verified =
      verify_chain(std::move(flow.chain), *state.suite.hash, state.config.requester_anchors,
                   crypto::SpdmEnd::kRequester, flow.digests);
  flow.chain.clear();
  if (!verified) return bad_response();
  if (flow.purpose == Purpose::kChallenge) {
    flow.peer = std::move(*verified);
    flow.step = Step::kChallenge;
    return {};
  }
  session->peer = std::move(*verified);
  session->peer_slot = flow.slot;
  flow.step = Step::kIdle;
  return {};
}

Taken take_challenge(State& state, ByteView response) {
  EncapsulatedFlow& flow = state.encapsulated;
  const auto answer = wire::SpdmChallengeAuth::decode(response, requester_sizes(state));
  if (!answer || answer->slot != flow.slot || !flow.peer ||
      !std::ranges::equal(answer->chain_hash, flow.peer->hash.view()))
    return bad_response();
  flow.transcript->update(flow.pending);
  flow.transcript->update(answer->wire.first(answer->wire.size() - answer->signature.size()));
  const auto valid = flow.peer->chain.chain.leaf().public_key().verify_spdm(
      {state.version(), crypto::SigningPurpose::kRequesterChallengeAuth, *state.suite.req_asym,
       *state.suite.hash},
      flow.transcript->digest(), answer->signature);
  if (!valid) return bad_response();
  state.challenged = std::move(flow.peer);
  state.challenged_slot = flow.slot;
  flow.step = Step::kIdle;
  return {};
}

Taken take_key_update(State& state, Session& session, ByteView response) {
  const auto ack = wire::SpdmKeyUpdateAck::decode(response);
  const auto sent = wire::SpdmKeyUpdate::decode(state.encapsulated.pending);
  if (!ack || !sent || ack->operation != sent->operation || ack->tag != sent->tag)
    return bad_response();
  if (session.own_update_sent) {
    session.own_update_sent = false;
    session.channel->commit_update(Direction::kResponses);
    state.encapsulated.step = Step::kIdle;
    return {};
  }
  if (!session.channel->begin_update(Direction::kResponses)) return bad_response();
  session.log.update(Direction::kResponses);
  session.own_update_sent = true;
  return {};
}

Taken take_response(State& state, Session* session, ByteView response) {
  EncapsulatedFlow& flow = state.encapsulated;
  if (++flow.steps > state.config.settings.limits.encapsulated) return bad_response();
  const auto header = wire::SpdmHeader::decode(response);
  if (!header || header->version != state.version()) return bad_response();
  switch (flow.step) {
    case Step::kIdle:
      return refuse(SpdmErrorCode::kUnexpectedRequest);
    case Step::kDigests:
      return take_digests(state, session, response);
    case Step::kCertificate:
      return take_certificate(state, session, response);
    case Step::kChallenge:
      return take_challenge(state, response);
    case Step::kKeyUpdate:
      return take_key_update(state, *session, response);
    case Step::kInfo:
      if (header->code != std::to_underlying(wire::SpdmCode::kEndpointInfo)) return bad_response();
      flow.step = Step::kIdle;
      return {};
    case Step::kEvents:
      if (header->code != std::to_underlying(wire::SpdmCode::kEventAck)) return bad_response();
      events_acknowledged(*session);
      flow.step = Step::kIdle;
      return {};
  }
  std::unreachable();
}

}  // namespace

void start_encapsulated(State& state, Purpose purpose, std::uint32_t session, std::uint8_t slot) {
  EncapsulatedFlow flow;
  flow.purpose = purpose;
  flow.session = session;
  flow.slot = slot;
  switch (purpose) {
    case Purpose::kSession:
      flow.step = Step::kDigests;
      break;
    case Purpose::kChallenge:
      flow.step = Step::kDigests;
      // Message A is part of it since 1.2.
      if (state.version() >= wire::kSpdmVersion12) {
        flow.transcript = state.base;
      } else {
        flow.transcript.emplace(*state.suite.hash);
      }
      break;
    case Purpose::kKeyUpdate:
      flow.step = Step::kKeyUpdate;
      break;
    case Purpose::kInfo:
      flow.step = Step::kInfo;
      break;
    case Purpose::kEvents:
      flow.step = Step::kEvents;
      break;
  }
  state.encapsulated = std::move(flow);
}

Reply get_encapsulated_request(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmGetEncapsulatedRequest::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kGetEncapsulatedRequest);
  EncapsulatedFlow& flow = state.encapsulated;
  const std::uint32_t here = call.session != nullptr ? call.session->id : kNoSession;
  if (flow.step == Step::kIdle && call.session != nullptr && call.session->established &&
      has_events(state, *call.session))
    start_encapsulated(state, Purpose::kEvents, here, 0);
  // A handshake in the clear has its flow outside of its session.
  Session* owner = state.find(flow.session);
  const bool clear = owner != nullptr && owner->in_the_clear && here == kNoSession;
  if (flow.step == Step::kIdle || (flow.session != here && !clear))
    return refuse(state.version() >= wire::kSpdmVersion13 ? SpdmErrorCode::kNoPendingRequests
                                                          : SpdmErrorCode::kUnexpectedRequest);
  wire::SpdmEncapsulatedRequest answer;
  answer.version = state.version();
  answer.request_id = ++flow.request_id;
  answer.request = next_request(state, owner);
  return answer.encode();
}

Reply deliver_encapsulated_response(Call& call) {
  State& state = call.state;
  const auto request = wire::SpdmDeliverEncapsulatedResponse::decode(call.request);
  if (!request) return refuse(request.error(), wire::SpdmCode::kDeliverEncapsulatedResponse);
  EncapsulatedFlow& flow = state.encapsulated;
  if (flow.step == Step::kIdle || flow.pending.empty())
    return refuse(SpdmErrorCode::kUnexpectedRequest);
  Session* owner = state.find(flow.session);
  const bool here = owner == call.session || (owner != nullptr && owner->in_the_clear);
  if (!here) return refuse(SpdmErrorCode::kUnexpectedRequest);
  if (request->request_id != flow.request_id) return refuse(SpdmErrorCode::kInvalidRequest);
  if (auto taken = take_response(state, owner, request->response); !taken) {
    flow = {};
    return std::unexpected(std::move(taken.error()));
  }
  wire::SpdmEncapsulatedResponseAck answer;
  answer.version = state.version();
  answer.ack_request_id = request->request_id;
  const std::array slot{std::byte{flow.slot}};
  if (flow.step != Step::kIdle) {
    answer.payload_type = std::to_underlying(wire::SpdmEncapsulatedPayload::kPresent);
    answer.request_id = ++flow.request_id;
    answer.payload = next_request(state, owner);
  } else if (flow.purpose == Purpose::kSession) {
    answer.payload_type = std::to_underlying(wire::SpdmEncapsulatedPayload::kReqSlotNumber);
    answer.payload = slot;
  }
  Bytes bytes = answer.encode();
  if (flow.step == Step::kIdle) flow = {};
  return bytes;
}

}  // namespace teeio::spdm::responder
