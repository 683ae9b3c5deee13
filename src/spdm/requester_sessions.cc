// HEARTBEAT, KEY_UPDATE, END_SESSION, VENDOR_DEFINED_REQUEST, and any other request.
#include <algorithm>
#include <array>

#include "crypto/random.h"
#include "spdm/framing.h"
#include "spdm/requester_state.h"
#include "spdm/requester_steps.h"
#include "wire/spdm.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_session.h"
#include "wire/spdm_vendor_defined.h"

namespace teeio::spdm::requester {
namespace {

using wire::SpdmKeyOperation;

/// A session that must exist, not only when one is named.
Result<void> need_session(std::uint32_t session) {
  if (session == kNoSession) return fail(Errno::kNxio, "there is no such SPDM session");
  return {};
}

/// Of a message that sessions alone carry, which no transport pads: its fields are all of it.
/// Source: libspdm (library/spdm_requester_lib/libspdm_req_heartbeat.c, libspdm_req_key_update.c,
/// libspdm_req_end_session.c: LIBSPDM_STATUS_INVALID_MSG_SIZE).
template <class M>
Result<M> decode_all(ByteView response) {
  TEEIO_ASSIGN(const M answer, M::decode(response));
  if (answer.wire.size() != response.size())
    return fail(Errno::kInval, "the answer is longer than its fields");
  return answer;
}

class Heartbeat final : public SessionStep {
 public:
  using SessionStep::SessionStep;
  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need_session(session_));
    TEEIO_TRY(need(state));
    if (!state.both(wire::kSpdmCapHeartbeat))
      return fail(Errno::kOpNotSupp, "the device has no heartbeat");
    wire::SpdmHeartbeat request;
    request.version = state.version();
    return request.encode();
  }
  Result<Progress> take(State& /*state*/, ByteView /*request*/, ByteView response) override {
    TEEIO_TRY(decode_all<wire::SpdmHeartbeatAck>(response));
    return Progress::kDone;
  }
};

class KeyUpdate final : public SessionStep {
 public:
  KeyUpdate(std::uint32_t session, Requester::KeyUpdate which)
      : SessionStep(session), all_(which == Requester::KeyUpdate::kAll) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need_session(session_));
    TEEIO_TRY(need(state));
    if (!state.both(wire::kSpdmCapKeyUpdate))
      return fail(Errno::kOpNotSupp, "the device updates no keys");
    operation_ = verifying_ ? SpdmKeyOperation::kVerifyNewKey
                 : all_     ? SpdmKeyOperation::kUpdateAllKeys
                            : SpdmKeyOperation::kUpdateKey;
    std::array<std::byte, 1> random{};
    crypto::fill_random(random);
    wire::SpdmKeyUpdate request;
    request.version = state.version();
    request.operation = std::to_underlying(operation_);
    request.tag = std::to_integer<std::uint8_t>(random[0]);
    tag_ = request.tag;
    return request.encode();
  }

  /// The answer to UpdateAllKeys comes under the new key already. A refusal comes
  /// under the old one, and takes the update back.
  void sealed(State& state) override {
    Session* session = state.find(session_);
    if (session == nullptr || operation_ != SpdmKeyOperation::kUpdateAllKeys) return;
    if (session->channel->begin_update(Direction::kResponses))
      session->log.update(Direction::kResponses);
  }

  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, decode_all<wire::SpdmKeyUpdateAck>(response));
    if (answer.operation != std::to_underlying(operation_) || answer.tag != tag_)
      return fail(Errno::kInval, "KEY_UPDATE_ACK answers another request");
    SecuredSession& channel = *state.find(session_)->channel;
    if (verifying_) {
      channel.commit_update(Direction::kRequests);
      return Progress::kDone;
    }
    if (all_ && channel.is_updating(Direction::kResponses))
      return fail(Errno::kPerm, "the device did not take its new key");
    TEEIO_TRY(channel.begin_update(Direction::kRequests));
    state.find(session_)->log.update(Direction::kRequests);
    verifying_ = true;
    return Progress::kAgain;
  }

 private:
  const bool all_;
  bool verifying_ = false;
  SpdmKeyOperation operation_ = SpdmKeyOperation::kUpdateKey;
  std::uint8_t tag_ = 0;
};

class EndSession final : public SessionStep {
 public:
  using SessionStep::SessionStep;
  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need_session(session_));
    TEEIO_TRY(need(state));
    wire::SpdmEndSession request;
    request.version = state.version();
    return request.encode();
  }
  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    TEEIO_TRY(decode_all<wire::SpdmEndSessionAck>(response));
    state.end(session_, SessionEnd::kEnded);
    return Progress::kDone;
  }
};

class VendorDefined final : public SessionStep {
 public:
  VendorDefined(std::uint32_t session, std::uint16_t standard_id, ByteView vendor_id,
                ByteView payload)
      : SessionStep(session),
        standard_id_(standard_id),
        vendor_id_(vendor_id.begin(), vendor_id.end()),
        payload_(payload.begin(), payload.end()) {}

  Result<Bytes> build(State& state) override {
    TEEIO_TRY(need(state));
    if (vendor_id_.size() > 0xff) return fail(Errno::kInval, "a vendor ID has at most 255 bytes");
    wire::SpdmVendorDefinedRequest request;
    request.version = state.version();
    request.large = state.version() >= wire::kSpdmVersion14 && state.both(wire::kSpdmCapLargeResp);
    if (!request.large && payload_.size() > 0xffff)
      return fail(Errno::kTooBig, "message is longer than a vendor-defined message carries");
    request.standard_id = standard_id_;
    request.vendor_id = vendor_id_;
    request.payload = payload_;
    return request.encode();
  }
  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    TEEIO_ASSIGN(const auto answer, wire::SpdmVendorDefinedResponse::decode(response));
    if (answer.standard_id != standard_id_ ||
        !std::ranges::equal(answer.vendor_id, ByteView(vendor_id_)))
      return fail(Errno::kInval, "vendor-defined response is of another vendor");
    state.app_answer.assign(answer.payload.begin(), answer.payload.end());
    return Progress::kDone;
  }

 private:
  const std::uint16_t standard_id_;
  const Bytes vendor_id_;
  const Bytes payload_;
};

class Raw final : public SessionStep {
 public:
  Raw(std::uint32_t session, Bytes request) : SessionStep(session), request_(std::move(request)) {}
  Result<Bytes> build(State& /*state*/) override { return request_; }
  Result<Progress> take(State& state, ByteView /*request*/, ByteView response) override {
    state.raw_answer.assign(response.begin(), response.end());
    return Progress::kDone;
  }
  [[nodiscard]] bool takes_errors() const override { return true; }

 private:
  const Bytes request_;
};

}  // namespace

void push_heartbeat(State& state, std::uint32_t session) {
  state.push(std::make_unique<Heartbeat>(session));
}
void push_key_update(State& state, std::uint32_t session, Requester::KeyUpdate which) {
  state.push(std::make_unique<KeyUpdate>(session, which));
}
void push_end_session(State& state, std::uint32_t session) {
  state.push(std::make_unique<EndSession>(session));
}
void push_app(State& state, std::uint32_t session, std::uint16_t standard_id, ByteView vendor_id,
              ByteView payload) {
  state.push(std::make_unique<VendorDefined>(session, standard_id, vendor_id, payload));
}

Result<Message> seal_app(State& state, std::uint32_t session, std::uint16_t standard_id,
                         ByteView vendor_id, ByteView payload) {
  TEEIO_TRY(need_session(session));
  VendorDefined step(session, standard_id, vendor_id, payload);
  TEEIO_ASSIGN(const Bytes request, step.build(state));
  const std::uint32_t room = state.agreed.peer_data_transfer_size;
  if (room != 0 && request.size() > room)
    return fail(Errno::kTooBig, "the device takes no message of that size");
  state.note_request(std::to_integer<std::uint8_t>(request[1]), session);
  if (state.config.observer != nullptr) state.config.observer->sent(session, request);
  TEEIO_ASSIGN(Bytes record,
               seal_application(*state.find(session)->channel,
                                to_application(state.config.settings.transport, request),
                                state.config.observer));
  return Message{true, std::move(record)};
}

Result<Bytes> open_app(State& state, std::uint32_t session, std::uint16_t standard_id,
                       ByteView vendor_id, const MessageView& answer) {
  Session* const at = state.find(session);
  if (at == nullptr || !at->channel) return fail(Errno::kNxio, "there is no such SPDM session");
  if (!answer.secured)
    return fail(Errno::kAcces, "the answer to a secured message came in the clear");
  const auto application = at->channel->open(answer.bytes);
  if (!application) return fail(Errno::kAcces, "a secured message is not authentic");
  TEEIO_ASSIGN(const auto plain, from_application(state.config.settings.transport, *application));
  if (!plain.spdm) return fail(Errno::kInval, "the answer is no SPDM message");
  if (state.config.observer != nullptr) state.config.observer->received(session, plain.bytes);
  TEEIO_ASSIGN(const auto header, wire::SpdmHeader::decode(plain.bytes));
  if (header.code == std::to_underlying(wire::SpdmCode::kError))
    return fail(Errno::kIo, "the device answered SPDM ERROR");
  if (header.version != state.version())
    return fail(Errno::kInval, "the answer has another SPDM version than the one agreed on");
  TEEIO_TRY(VendorDefined(session, standard_id, vendor_id, {}).take(state, {}, plain.bytes));
  return state.app_answer;
}

void push_raw(State& state, std::uint32_t session, Bytes request) {
  state.push(std::make_unique<Raw>(session, std::move(request)));
}

}  // namespace teeio::spdm::requester
