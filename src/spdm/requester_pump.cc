#include "spdm/requester_pump.h"

#include <algorithm>
#include <utility>

#include "wire/spdm_capabilities.h"
#include "wire/spdm_error.h"

namespace teeio::spdm::requester {
namespace {

using wire::SpdmCode;
using wire::SpdmErrorCode;

/// Busy says nothing about how long.
constexpr std::uint64_t kBusyWaitUs = 1000;
/// RDTExponent's limit: 2^23 µs are eight seconds.
constexpr std::uint8_t kMaxDelayExponent = 23;

}  // namespace

const Message* Pump::request() {
  if (state_.transfer && state_.transfer->out) return &*state_.transfer->out;
  if (state_.queue.empty()) return nullptr;
  if (auto begun = begin(); !begun) {
    state_.failure = begun.error();
    (void)give_up(begun.error());
    return nullptr;
  }
  return &*state_.transfer->out;
}

Result<void> Pump::begin() {
  Step& step = *state_.queue.front();
  TEEIO_ASSIGN(Bytes bytes, step.build(state_));
  Transfer& transfer = state_.transfer.emplace();
  transfer.session = step.session(state_);
  transfer.request = std::move(bytes);
  if (transfer.request.size() >= 2)
    state_.note_request(std::to_integer<std::uint8_t>(transfer.request[1]), transfer.session);
  const std::uint32_t room = state_.agreed.peer_data_transfer_size;
  if (room == 0 || transfer.request.size() <= room) {
    TEEIO_TRY(put_out(transfer.request));
    step.sealed(state_);
    return {};
  }
  if (!state_.both(wire::kSpdmCapChunk) ||
      transfer.request.size() > state_.agreed.peer_max_message_size)
    return fail(Errno::kTooBig, "the device takes no message of that size");
  transfer.mode = Transfer::Mode::kSending;
  transfer.handle = ++state_.chunk_handle;
  return send_chunk();
}

Result<void> Pump::put_out(ByteView message) {
  Transfer& transfer = *state_.transfer;
  if (state_.config.observer != nullptr) state_.config.observer->sent(transfer.session, message);
  if (transfer.session == kNoSession) {
    transfer.out = Message{false, Bytes(message.begin(), message.end())};
    return {};
  }
  Session* session = state_.find(transfer.session);
  if (session == nullptr || !session->channel)
    return fail(Errno::kNxio, "there is no such SPDM session");
  TEEIO_ASSIGN(
      Bytes record,
      seal_application(*session->channel, to_application(state_.config.settings.transport, message),
                       state_.config.observer));
  transfer.out = Message{true, std::move(record)};
  return {};
}

Result<void> Pump::take(const MessageView& answer) {
  if (!state_.transfer || !state_.transfer->out)
    return fail(Errno::kInval, "no SPDM request waits for an answer");
  state_.peer_error.reset();
  const auto plain = opened(answer);
  if (!plain) return give_up(plain.error());
  state_.transfer->out.reset();
  state_.transfer->wait_us = 0;
  if (state_.config.observer != nullptr)
    state_.config.observer->received(state_.transfer->session, *plain);
  if (auto taken = take_plain(*plain); !taken) return give_up(taken.error());
  return {};
}

Result<Bytes> Pump::opened(const MessageView& answer) {
  const std::uint32_t id = state_.transfer->session;
  if (!answer.secured) {
    if (id == kNoSession) return Bytes(answer.bytes.begin(), answer.bytes.end());
    // Anybody can say that in the clear: the operation fails, the session stays.
    if (const auto error = wire::SpdmError::decode(answer.bytes); error)
      state_.peer_error = Requester::PeerError{error->code, error->data};
    return fail(Errno::kIo, "the answer to a secured message came in the clear");
  }
  if (id == kNoSession) return fail(Errno::kInval, "the answer is secured, the request was not");
  TEEIO_ASSIGN(const std::uint32_t theirs, SecuredSession::session_id_of(answer.bytes));
  if (theirs != id) return fail(Errno::kInval, "the answer is of another SPDM session");
  auto application = state_.find(id)->channel->open(answer.bytes);
  if (!application) {
    state_.end(id, SessionEnd::kDecryptError);
    return fail(Errno::kBadFd, "a secured message is not authentic: the session is gone");
  }
  TEEIO_ASSIGN(const auto view, from_application(state_.config.settings.transport, *application));
  if (!view.spdm) return fail(Errno::kInval, "the answer is no SPDM message");
  return Bytes(view.bytes.begin(), view.bytes.end());
}

Result<void> Pump::take_plain(ByteView message) {
  TEEIO_ASSIGN(const auto header, wire::SpdmHeader::decode(message));
  Step& step = *state_.queue.front();
  const bool error = header.code == std::to_underlying(SpdmCode::kError);
  if (!error && !step.takes_errors()) {
    const bool negotiating = header.code == std::to_underlying(SpdmCode::kVersion);
    const std::uint8_t expected = negotiating ? wire::kSpdmVersion10 : state_.version();
    if (header.version != expected)
      return fail(Errno::kInval, "the answer has another SPDM version than the one agreed on");
  }
  if (error) return take_error(header, message);
  switch (state_.transfer->mode) {
    case Transfer::Mode::kSending:
      return take_chunk_ack(message);
    case Transfer::Mode::kFetching:
      return take_chunk(message);
    case Transfer::Mode::kWhole:
    case Transfer::Mode::kWaiting:
      return take_answer(message);
  }
  std::unreachable();
}

Result<void> Pump::take_answer(ByteView message) {
  const Bytes request = state_.transfer->request;
  const auto progress = state_.queue.front()->take(state_, request, message);
  if (!progress) return std::unexpected(progress.error());
  state_.transfer.reset();
  if (*progress == Step::Progress::kDone) state_.queue.pop_front();
  return {};
}

Result<void> Pump::take_error(const wire::SpdmHeader& header, ByteView message) {
  TEEIO_ASSIGN(const auto error, wire::SpdmError::decode(message));
  const auto code = static_cast<SpdmErrorCode>(error.code);
  Step& step = *state_.queue.front();
  if (code == SpdmErrorCode::kLargeResponse && state_.both(wire::kSpdmCapChunk) &&
      state_.transfer->mode != Transfer::Mode::kFetching) {
    TEEIO_ASSIGN(const auto large, wire::SpdmLargeResponse::decode(error.extended));
    return begin_fetching(large.handle);
  }
  if (step.takes_errors() && !asks_to_wait(error)) return take_answer(message);
  state_.peer_error = Requester::PeerError{header.param1, header.param2};
  if (code == SpdmErrorCode::kBusy) return wait(std::nullopt, kBusyWaitUs);
  if (code == SpdmErrorCode::kResponseNotReady) {
    TEEIO_ASSIGN(const auto later, wire::SpdmNotReady::decode(error.extended));
    const ByteView request = state_.transfer->request;
    if (later.request_code != std::to_integer<std::uint8_t>(request[1]))
      return fail(Errno::kInval, "ResponseNotReady is of another request");
    wire::SpdmRespondIfReady again;
    again.version = state_.version();
    again.request_code = later.request_code;
    again.token = later.token;
    return wait(again.encode(),
                std::uint64_t{1} << std::min(later.delay_exponent, kMaxDelayExponent));
  }
  if (code == SpdmErrorCode::kRequestResynch) {
    state_.forget();
    return fail(Errno::kIo, "the device has lost the connection's state");
  }
  if (code == SpdmErrorCode::kDecryptError && state_.transfer->session != kNoSession) {
    state_.end(state_.transfer->session, SessionEnd::kDecryptError);
    return fail(Errno::kBadFd, "the device could not decrypt: the session is gone");
  }
  return fail(Errno::kIo, "the device answered SPDM ERROR");
}

bool Pump::asks_to_wait(const wire::SpdmError& error) const {
  if (error.code == std::to_underlying(SpdmErrorCode::kBusy)) return true;
  if (error.code != std::to_underlying(SpdmErrorCode::kResponseNotReady)) return false;
  const auto later = wire::SpdmNotReady::decode(error.extended);
  const ByteView request = state_.transfer->request;
  return later && request.size() > 1 &&
         later->request_code == std::to_integer<std::uint8_t>(request[1]);
}

Result<void> Pump::wait(std::optional<Bytes> instead, std::uint64_t wait_us) {
  Transfer& transfer = *state_.transfer;
  if (++transfer.not_ready > state_.config.settings.limits.not_ready)
    return fail(Errno::kTimedOut, "the device was not ready too often");
  transfer.mode = Transfer::Mode::kWaiting;
  transfer.wait_us = wait_us;
  return put_out(instead ? *instead : transfer.request);
}

std::unexpected<Error> Pump::give_up(const Error& why) {
  // L1/L2 does not survive a GET_MEASUREMENTS that failed.
  if (state_.transfer && state_.transfer->request.size() > 1 &&
      state_.transfer->request[1] == std::byte{std::to_underlying(SpdmCode::kGetMeasurements)}) {
    Session* in = state_.find(state_.transfer->session);
    (in != nullptr ? in->l1l2 : state_.l1l2).clear();
  }
  state_.queue.clear();
  state_.transfer.reset();
  if (state_.opening != kNoSession) state_.end(state_.opening, SessionEnd::kHandshake);
  return std::unexpected(why);
}

}  // namespace teeio::spdm::requester
