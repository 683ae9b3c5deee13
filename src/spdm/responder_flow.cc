#include "spdm/responder_flow.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "spdm/responder_table.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_measurements.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::spdm::responder {

using wire::SpdmCode;
using wire::SpdmErrorCode;

Responder::Step Flow::receive(ByteView message) {
  if (state_.config.observer != nullptr) state_.config.observer->received(session_id_, message);
  if (Session* in = session(); in != nullptr) in->silent_s = 0;
  return finish(process(message));
}

std::optional<Message> Flow::answer_app(const State::PendingApp& app, ByteView payload) {
  Bytes answer;
  if (app.kind == AppRequest::Kind::kMctp) return seal(payload);
  if (!app.large && payload.size() > std::numeric_limits<std::uint16_t>::max()) {
    answer = encode({SpdmErrorCode::kUnspecified});
  } else {
    wire::SpdmVendorDefinedResponse response;
    response.version = state_.version();
    response.large = app.large;
    response.standard_id = app.standard_id;
    response.vendor_id = app.vendor_id;
    response.payload = payload;
    answer = response.encode();
  }
  return send(acknowledge(app, std::move(answer)));
}

std::optional<Message> Flow::refuse_app(const State::PendingApp& app, SpdmErrorCode code,
                                        std::uint8_t data) {
  return send(acknowledge(app, encode({code, data})));
}

std::optional<Message> Flow::error(const Refusal& refusal) { return send(encode(refusal)); }

Responder::Step Flow::finish(Outcome outcome) {
  if (auto* request = std::get_if<AppRequest>(&outcome)) return std::move(*request);
  if (const auto* refusal = std::get_if<Refusal>(&outcome)) {
    if (refusal->ends_session) {
      state_.afterwards = State::Afterwards::kEnd;
      state_.afterwards_session = session_id_;
    }
    return step(error(*refusal));
  }
  return step(send(fit(std::move(std::get<Bytes>(outcome)), transfer_limit())));
}

Responder::Step Flow::step(std::optional<Message> message) {
  if (!message) return std::monostate{};
  return std::move(*message);
}

std::optional<Message> Flow::seal(ByteView application) {
  Session* in = session();
  if (in == nullptr || !in->channel) return std::nullopt;
  auto record = seal_application(*in->channel, application, state_.config.observer);
  if (record) return Message{true, std::move(*record)};
  // Sequence numbers are used up, or it does not fit into a record.
  if (record.error().code == Errno::kOverflow) state_.end(session_id_, SessionEnd::kKeyUpdate);
  return std::nullopt;
}

std::optional<Message> Flow::send(Bytes answer) {
  if (state_.config.observer != nullptr) state_.config.observer->sent(session_id_, answer);
  std::optional<Message> message =
      session_id_ == kNoSession ? Message{false, std::move(answer)}
                                : seal(to_application(state_.config.settings.transport, answer));
  const auto afterwards = std::exchange(state_.afterwards, State::Afterwards::kNothing);
  Session* target = state_.find(state_.afterwards_session);
  if (target == nullptr) return message;
  switch (afterwards) {
    case State::Afterwards::kNothing:
      break;
    case State::Afterwards::kEstablish:
      establish(state_, *target);
      break;
    case State::Afterwards::kEnd:
      state_.end(target->id, SessionEnd::kEnded);
      break;
  }
  return message;
}

Bytes Flow::encode(const Refusal& refusal) const {
  wire::SpdmError error;
  // Before a version is agreed, and whatever GET_VERSION did wrong: 1.0.
  error.version =
      state_.phase >= Phase::kAfterCapabilities ? state_.version() : wire::kSpdmVersion10;
  error.code = std::to_underlying(refusal.code);
  error.data = refusal.data;
  error.extended = refusal.extended;
  return error.encode();
}

Flow::Outcome Flow::process(ByteView request) {
  const auto header = wire::SpdmHeader::decode(request);
  if (!header) return Refusal{SpdmErrorCode::kInvalidRequest};
  const auto code = static_cast<SpdmCode>(header->code);
  if (code == SpdmCode::kChunkSend) return tampered(request, chunk_send(request));
  if (code == SpdmCode::kChunkGet) return tampered(request, chunk_get(request));
  // DSP0274 1.2, 10.25: nothing but GET_VERSION interrupts a transfer in chunks.
  if ((state_.outgoing || state_.incoming) && code != SpdmCode::kGetVersion)
    return Refusal{SpdmErrorCode::kUnexpectedRequest};
  return tampered(request, dispatch(request));
}

/// Who misbehaves on purpose does so to refusals, too. Answers were changed where they were made,
/// but for those to requests about chunks.
Flow::Outcome Flow::tampered(ByteView request, Outcome outcome) {
  if (state_.config.tamper == nullptr) return outcome;
  const auto code = static_cast<SpdmCode>(wire::SpdmHeader::decode(request)->code);
  auto* answer = std::get_if<Bytes>(&outcome);
  if (answer != nullptr && (code == SpdmCode::kChunkSend || code == SpdmCode::kChunkGet))
    state_.config.tamper->change(request, *answer, 0);
  const auto* refusal = std::get_if<Refusal>(&outcome);
  if (refusal == nullptr) return outcome;
  Bytes error = encode(*refusal);
  const Bytes right = error;
  state_.config.tamper->change(request, error, 0);
  if (error == right) return outcome;
  if (refusal->ends_session) {
    state_.afterwards = State::Afterwards::kEnd;
    state_.afterwards_session = session_id_;
  }
  return error;
}

Flow::Outcome Flow::dispatch(ByteView request) {
  const auto header = wire::SpdmHeader::decode(request);
  if (!header) return Refusal{SpdmErrorCode::kInvalidRequest};
  if (header->code == std::to_underlying(SpdmCode::kRespondIfReady))
    return respond_if_ready(request);
  state_.deferred.reset();
  if (header->code == std::to_underlying(SpdmCode::kVendorDefinedRequest))
    return vendor_defined(request);
  if (should_defer(*header)) {
    const Row* row = find_row(header->code);
    if (auto refusal = refuse_early(*row, *header)) return std::move(*refusal);
    wire::SpdmNotReady later;
    later.delay_exponent = 1;
    later.request_code = header->code;
    later.token = ++state_.last_token;
    later.delay_multiplier = 0xff;
    state_.deferred = Deferred{Bytes(request.begin(), request.end()), session_id_, later.token};
    return Refusal{SpdmErrorCode::kResponseNotReady, 0, later.encode()};
  }
  return handle(*header, request);
}

Flow::Outcome Flow::handle(const wire::SpdmHeader& header, ByteView request) {
  const Row* row = find_row(header.code);
  if (row == nullptr) return Refusal{SpdmErrorCode::kUnsupportedRequest, header.code};
  if (auto refusal = refuse_early(*row, header)) return std::move(*refusal);
  Tamper* const tamper = state_.config.tamper;
  if (tamper != nullptr)
    if (const auto code = tamper->refuses(request))
      return Refusal{static_cast<SpdmErrorCode>(*code)};
  note(*row);
  Call call{state_, session(), request};
  Reply reply = row->handler(call);
  if (reply && tamper != nullptr) tamper->change(request, *reply, verify_data(*row));
  if (reply) return std::move(*reply);
  // L1/L2 does not survive a GET_MEASUREMENTS that failed.
  if (row->code == SpdmCode::kGetMeasurements) {
    Session* in = session();
    (in != nullptr ? in->measured : state_.l1l2).reset();
  }
  return std::move(reply.error());
}

/// Only KEY_EXCHANGE_RSP can be without: when FINISH is in the clear.
std::size_t Flow::verify_data(const Row& row) const {
  const bool in_the_clear =
      state_.can(wire::kSpdmCapHandshakeInTheClear, wire::kSpdmCapHandshakeInTheClear);
  return row.code == SpdmCode::kKeyExchange && in_the_clear ? 0 : state_.suite.hash_size();
}

std::optional<Refusal> Flow::refuse_early(const Row& row, const wire::SpdmHeader& header) {
  if (row.code == SpdmCode::kGetVersion) {
    if (session_id_ != kNoSession) return Refusal{SpdmErrorCode::kUnexpectedRequest};
    if (header.version == wire::kSpdmVersion10) return std::nullopt;
    return Refusal{SpdmErrorCode::kVersionMismatch};
  }
  if (state_.resynch) return Refusal{SpdmErrorCode::kRequestResynch};
  const bool exact = row.phase != Phase::kNegotiated;
  if (exact ? state_.phase != row.phase : state_.phase < row.phase)
    return Refusal{SpdmErrorCode::kUnexpectedRequest};
  if (row.code == SpdmCode::kGetCapabilities) return refuse_place(row);  // it picks the version
  if (header.version != state_.version()) return Refusal{SpdmErrorCode::kVersionMismatch};
  const wire::SpdmRow* known = wire::spdm_row(header.code);
  const bool exists = known != nullptr && known->since <= state_.version();
  const bool able = (row.own == 0 || (state_.agreed.own_flags & row.own) != 0) &&
                    (state_.agreed.peer_flags & row.peer) == row.peer &&
                    (state_.agreed.extended_flags & row.extended) == row.extended;
  if (!exists || !able) return Refusal{SpdmErrorCode::kUnsupportedRequest, header.code};
  return refuse_place(row);
}

std::optional<Refusal> Flow::refuse_place(const Row& row) {
  const Session* in = session();
  const bool inside = in != nullptr;
  const bool established = inside && in->established;
  bool allowed = true;
  switch (row.place) {
    case Place::kOutside:
      allowed = !inside;
      break;
    case Place::kInside:
      if (!inside) return Refusal{session_required(state_)};
      allowed = established;
      break;
    case Place::kEither:
      allowed = !inside || established;
      break;
    case Place::kHandshake:
      allowed = !established;
      break;
    case Place::kAnywhere:
      break;
  }
  if (allowed) return std::nullopt;
  return Refusal{SpdmErrorCode::kUnexpectedRequest};
}

void Flow::note(const Row& row) {
  if (state_.phase != Phase::kNegotiated) return;
  if (row.code != SpdmCode::kGetDigests) state_.digests_may_enter = false;
  if (row.code != SpdmCode::kGetMeasurements) {
    Session* in = session();
    (in != nullptr ? in->measured : state_.l1l2).reset();
  }
  if (row.resets_m1m2) state_.m1m2.clear();
}

Flow::Outcome Flow::vendor_defined(ByteView request) {
  const Row row{SpdmCode::kVendorDefinedRequest, nullptr, Place::kEither};
  const auto header = wire::SpdmHeader::decode(request);
  if (!header) return Refusal{SpdmErrorCode::kInvalidRequest};
  if (auto refusal = refuse_early(row, *header)) return std::move(*refusal);
  note(row);
  const auto decoded = wire::SpdmVendorDefinedRequest::decode(request);
  if (!decoded) return Refusal{SpdmErrorCode::kInvalidRequest};
  AppRequest app;
  app.session = session_id_;
  app.standard_id = decoded->standard_id;
  app.vendor_id = Bytes(decoded->vendor_id.begin(), decoded->vendor_id.end());
  app.payload = Bytes(decoded->payload.begin(), decoded->payload.end());
  state_.app = State::PendingApp{.session = session_id_,
                                 .kind = app.kind,
                                 .standard_id = app.standard_id,
                                 .vendor_id = app.vendor_id,
                                 .large = decoded->large,
                                 .chunked = std::nullopt};
  return app;
}

bool Flow::should_defer(const wire::SpdmHeader& header) const {
  if (!state_.config.defer_signatures) return false;
  const auto code = static_cast<SpdmCode>(header.code);
  if (code == SpdmCode::kGetMeasurements) return (header.param1 & 1U) != 0;
  return code == SpdmCode::kChallenge || code == SpdmCode::kKeyExchange;
}

Flow::Outcome Flow::respond_if_ready(ByteView request) {
  const auto decoded = wire::SpdmRespondIfReady::decode(request);
  if (!decoded) return Refusal{SpdmErrorCode::kInvalidRequest};
  if (state_.resynch) return Refusal{SpdmErrorCode::kRequestResynch};
  if (!state_.deferred) return Refusal{SpdmErrorCode::kUnexpectedRequest};
  if (decoded->version != state_.version()) return Refusal{SpdmErrorCode::kVersionMismatch};
  const auto header = wire::SpdmHeader::decode(state_.deferred->request);
  // As libspdm has it (libspdm_rsp_respond_if_ready.c): what is asked again has its place.
  if (session_id_ != state_.deferred->session) return Refusal{SpdmErrorCode::kUnexpectedRequest};
  if (decoded->token != state_.deferred->token || decoded->request_code != header->code)
    return Refusal{SpdmErrorCode::kInvalidRequest};
  const Bytes original = std::exchange(state_.deferred, std::nullopt)->request;
  return handle(*header, original);
}

Responder::Step receive_secured(State& state, ByteView record) {
  const auto id = SecuredSession::session_id_of(record);
  if (!id) return std::monostate{};
  Session* session = state.find(*id);
  // DSP0274 1.1 has InvalidSession (02h, the session's ID cannot be said) for this,
  // later versions reserve the code and leave the responder to drop the message,
  // as libspdm does: to answer in the clear would tell a forger what exists.
  if (session == nullptr || !session->channel) return std::monostate{};
  auto application = session->channel->open(record);
  if (!application) {
    Refusal refusal{SpdmErrorCode::kDecryptError};
    Flow flow(state, session);
    auto answer = flow.error(refusal);
    state.end(*id, SessionEnd::kDecryptError);
    return answer ? Responder::Step(std::move(*answer)) : Responder::Step();
  }
  const auto view = from_application(state.config.settings.transport, *application);
  if (!view) return std::monostate{};
  if (view->spdm) return Flow(state, session).receive(view->bytes);
  if (!session->established) return std::monostate{};
  AppRequest app;
  app.kind = AppRequest::Kind::kMctp;
  app.session = *id;
  app.payload = Bytes(view->bytes.begin(), view->bytes.end());
  state.app = State::PendingApp{.session = *id,
                                .kind = app.kind,
                                .standard_id = 0,
                                .vendor_id = {},
                                .large = false,
                                .chunked = std::nullopt};
  session->silent_s = 0;
  return app;
}

}  // namespace teeio::spdm::responder
