// The encapsulated flow: requests of the responder, answered in our requests.
#include <algorithm>

#include "crypto/random.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_encapsulated.h"
#include "wire/spdm_error.h"
#include "wire/spdm_events.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_session.h"

namespace teeio::spdm::requester {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;
/// What an encapsulated request gets: a message, or an ERROR in its place.
using Answer = std::expected<Bytes, SpdmErrorCode>;

/// What a portion leaves for the envelopes around it.
constexpr std::uint32_t kEnvelopes = 32;

const Credential* own(const State& state, std::uint8_t slot) {
  if (state.config.credentials == nullptr || !state.suite.req_asym || !state.suite.hash)
    return nullptr;
  return state.config.credentials->credential(slot, *state.suite.req_asym, *state.suite.hash);
}

Bytes own_chain(const State& state, const Credential& credential) {
  return crypto::encode_spdm_chain(credential.identity->chain, *state.suite.hash);
}

Answer digests(const State& state) {
  wire::SpdmDigests answer;
  answer.version = state.version();
  Bytes all;
  for (std::uint8_t slot = 0; slot < wire::kSpdmSlots; ++slot) {
    const Credential* credential = own(state, slot);
    if (credential == nullptr) continue;
    const crypto::Digest digest = crypto::hash(*state.suite.hash, own_chain(state, *credential));
    all.insert(all.end(), digest.view().begin(), digest.view().end());
    answer.provisioned |= static_cast<std::uint8_t>(1U << slot);
  }
  if (answer.provisioned == 0) return std::unexpected(SpdmErrorCode::kUnspecified);
  if (state.version() >= wire::kSpdmVersion13) answer.supported = answer.provisioned;
  answer.digests = all;
  return answer.encode();
}

Answer certificate(const State& state, ByteView bytes) {
  const auto request = wire::SpdmGetCertificate::decode(bytes);
  if (!request || request->slot >= wire::kSpdmSlots)
    return std::unexpected(SpdmErrorCode::kInvalidRequest);
  const Credential* credential = own(state, request->slot);
  if (credential == nullptr) return std::unexpected(SpdmErrorCode::kInvalidRequest);
  const Bytes chain = own_chain(state, *credential);
  const auto size = static_cast<std::uint32_t>(chain.size());
  if (request->offset >= size || size > 0xffff)
    return std::unexpected(SpdmErrorCode::kInvalidRequest);
  std::uint32_t limit = state.config.settings.data_transfer_size;
  if (state.agreed.peer_data_transfer_size != 0)
    limit = std::min(limit, state.agreed.peer_data_transfer_size);
  limit -= kEnvelopes;
  wire::SpdmCertificate answer;
  answer.version = state.version();
  answer.slot = request->slot;
  answer.large = request->large;
  const std::uint32_t length = std::min({request->length, size - request->offset, limit});
  answer.portion = ByteView(chain).subspan(request->offset, length);
  answer.remainder = size - request->offset - length;
  return answer.encode();
}

Answer challenge(const State& state, ByteView bytes, crypto::RunningHash& transcript) {
  const auto request = wire::SpdmChallenge::decode(bytes);
  if (!request || request->slot >= wire::kSpdmSlots || request->summary != 0)
    return std::unexpected(SpdmErrorCode::kInvalidRequest);
  const Credential* credential = own(state, request->slot);
  if (credential == nullptr) return std::unexpected(SpdmErrorCode::kInvalidRequest);
  const crypto::Digest hash = crypto::hash(*state.suite.hash, own_chain(state, *credential));
  wire::SpdmChallengeAuth answer;
  answer.version = state.version();
  answer.slot = request->slot;
  answer.slot_mask = static_cast<std::uint8_t>(1U << request->slot);
  answer.chain_hash = hash;
  crypto::fill_random(answer.nonce);
  answer.context = request->context;
  Bytes out = answer.encode();
  transcript.update(request->wire).update(out);
  const auto signature = credential->identity->key.sign_spdm(
      {state.version(), crypto::SigningPurpose::kRequesterChallengeAuth, *state.suite.req_asym,
       *state.suite.hash},
      transcript.digest());
  if (!signature) return std::unexpected(SpdmErrorCode::kUnspecified);
  out.insert(out.end(), signature->begin(), signature->end());
  return out;
}

/// The responder updates the key of its own messages.
Answer key_update(const State& state, Session* session, ByteView bytes) {
  const auto request = wire::SpdmKeyUpdate::decode(bytes);
  if (!request || session == nullptr || !session->established ||
      !state.both(wire::kSpdmCapKeyUpdate))
    return std::unexpected(SpdmErrorCode::kInvalidRequest);
  switch (static_cast<wire::SpdmKeyOperation>(request->operation)) {
    case wire::SpdmKeyOperation::kUpdateKey:
      if (session->peer_update_sent || !session->channel->begin_update(Direction::kResponses))
        return std::unexpected(SpdmErrorCode::kInvalidRequest);
      session->log.update(Direction::kResponses);
      session->peer_update_sent = true;
      break;
    case wire::SpdmKeyOperation::kVerifyNewKey:
      // It came under the new key, or the update would be under way still.
      if (!session->peer_update_sent || session->channel->is_updating(Direction::kResponses))
        return std::unexpected(SpdmErrorCode::kInvalidRequest);
      session->peer_update_sent = false;
      break;
    case wire::SpdmKeyOperation::kUpdateAllKeys:
    default:
      return std::unexpected(SpdmErrorCode::kInvalidRequest);
  }
  wire::SpdmKeyUpdateAck answer;
  answer.version = state.version();
  answer.operation = request->operation;
  answer.tag = request->tag;
  return answer.encode();
}

/// What the responder has to tell, inside a session. Source: libspdm
/// library/spdm_requester_lib/libspdm_req_encap_event_ack.c.
Answer events(State& state, const Session* session, ByteView bytes) {
  if (session == nullptr || !session->established)
    return std::unexpected(SpdmErrorCode::kSessionRequired);
  state.events.assign(bytes.begin(), bytes.end());
  const auto request = wire::SpdmSendEvent::decode(bytes);
  if (!request || request->count == 0 || !state.peer_can(wire::kSpdmCapEvent))
    return std::unexpected(SpdmErrorCode::kInvalidRequest);
  ByteView rest = request->events;
  while (!rest.empty()) {
    const auto event = wire::SpdmEvent::take(rest);
    if (!event) return std::unexpected(SpdmErrorCode::kInvalidRequest);
    if (event->registry == 0 && wire::spdm_event_detail_size(event->type) != event->detail.size())
      return std::unexpected(SpdmErrorCode::kInvalidRequest);
  }
  wire::SpdmEventAck answer;
  answer.version = state.version();
  return answer.encode();
}

class Encapsulated final : public SessionStep {
 public:
  Encapsulated(std::uint32_t session, std::uint8_t mut_auth,
               std::optional<crypto::RunningHash> transcript)
      : SessionStep(session), mut_auth_(mut_auth), transcript_(std::move(transcript)) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(state.need_connection());
    if (!state.both(wire::kSpdmCapEncap))
      return fail(Errno::kOpNotSupp, "the device has no encapsulated requests");
    // The optimised flow: GET_DIGESTS was asked with KEY_EXCHANGE_RSP.
    if (!asked_ && mut_auth_ == wire::kSpdmMutAuthGetDigests) {
      wire::SpdmGetDigests implied;
      implied.version = state.version();
      TEEIO_ASSIGN(response_, answer_encapsulated(state, nullptr, implied.encode(), transcript_));
    }
    asked_ = true;
    if (response_.empty()) {
      wire::SpdmGetEncapsulatedRequest request;
      request.version = state.version();
      return request.encode();
    }
    wire::SpdmDeliverEncapsulatedResponse request;
    request.version = state.version();
    request.request_id = request_id_;
    request.response = response_;
    return request.encode();
  }

  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    if (++rounds_ > state.config.settings.limits.encapsulated)
      return fail(Errno::kTooBig, "the device's encapsulated flow does not end");
    if (response_.empty()) {
      TEEIO_ASSIGN(const auto answer, wire::SpdmEncapsulatedRequest::decode(response));
      request_id_ = answer.request_id;
      return next(state, answer.request);
    }
    TEEIO_ASSIGN(const auto ack, wire::SpdmEncapsulatedResponseAck::decode(response));
    if (state.version() >= wire::kSpdmVersion12 && ack.ack_request_id != request_id_)
      return fail(Errno::kInval, "ENCAPSULATED_RESPONSE_ACK is of another response");
    switch (static_cast<wire::SpdmEncapsulatedPayload>(ack.payload_type)) {
      case wire::SpdmEncapsulatedPayload::kAbsent:
        return Progress::kDone;
      case wire::SpdmEncapsulatedPayload::kPresent:
        request_id_ = ack.request_id;
        return next(state, ack.payload);
      case wire::SpdmEncapsulatedPayload::kReqSlotNumber: {
        if (ack.payload.empty()) return fail(Errno::kInval, "the flow's end names no slot");
        Session* opening = state.find(state.opening);
        const auto slot = std::to_integer<std::uint8_t>(ack.payload[0]);
        if (opening == nullptr || slot >= wire::kSpdmSlots)
          return fail(Errno::kInval, "the flow's end names a slot that there is not");
        opening->own_slot = slot;
        return Progress::kDone;
      }
    }
    return fail(Errno::kInval, "ENCAPSULATED_RESPONSE_ACK has an unknown payload");
  }

 private:
  Result<Progress> next(State& state, ByteView request) {
    TEEIO_ASSIGN(response_, answer_encapsulated(state, state.find(session_), request, transcript_));
    return Progress::kAgain;
  }

  const std::uint8_t mut_auth_;
  std::optional<crypto::RunningHash> transcript_;
  bool asked_ = false;
  std::uint8_t request_id_ = 0;
  std::uint32_t rounds_ = 0;
  Bytes response_;
};

}  // namespace

Result<Bytes> answer_encapsulated(State& state, Session* session, ByteView request,
                                  std::optional<crypto::RunningHash>& transcript) {
  TEEIO_ASSIGN(const auto header, wire::SpdmHeader::decode(request));
  Answer answer = std::unexpected(SpdmErrorCode::kUnsupportedRequest);
  // Padding behind the inner message is no part of it.
  ByteView exact = request.first(wire::SpdmHeader::kSize);
  if (header.version != state.version()) {
    answer = std::unexpected(SpdmErrorCode::kVersionMismatch);
  } else if (header.code == std::to_underlying(SpdmCode::kGetDigests)) {
    answer = digests(state);
    if (answer && transcript) transcript->update(exact).update(*answer);
  } else if (header.code == std::to_underlying(SpdmCode::kGetCertificate)) {
    answer = certificate(state, request);
    if (const auto decoded = wire::SpdmGetCertificate::decode(request); decoded)
      exact = decoded->wire;
    if (answer && transcript) transcript->update(exact).update(*answer);
  } else if (header.code == std::to_underlying(SpdmCode::kChallenge) && transcript) {
    answer = challenge(state, request, *transcript);
  } else if (header.code == std::to_underlying(SpdmCode::kKeyUpdate)) {
    answer = key_update(state, session, request);
  } else if (header.code == std::to_underlying(SpdmCode::kSendEvent)) {
    answer = events(state, session, request);
  }
  if (answer) return std::move(*answer);
  wire::SpdmError error;
  error.version = state.version();
  error.code = std::to_underlying(answer.error());
  if (answer.error() == SpdmErrorCode::kUnsupportedRequest) error.data = header.code;
  return error.encode();
}

std::unique_ptr<Step> make_encapsulated(std::uint32_t session, std::uint8_t mut_auth,
                                        std::optional<crypto::RunningHash> transcript) {
  return std::make_unique<Encapsulated>(session, mut_auth, std::move(transcript));
}

void push_encapsulated(State& state, std::uint32_t session) {
  state.push(make_encapsulated(session, 0, std::nullopt));
}

}  // namespace teeio::spdm::requester
