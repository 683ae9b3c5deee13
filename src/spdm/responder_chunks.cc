// CHUNK_SEND, CHUNK_GET, and answers that are larger than a transfer.
#include <algorithm>
#include <limits>
#include <utility>

#include "spdm/responder_flow.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_chunk.h"

namespace teeio::spdm::responder {
namespace {

using wire::SpdmErrorCode;

constexpr std::uint32_t kFirstChunkExtra = 4;  ///< LargeMessageSize

bool chunks(const State& state) {
  // From CAPABILITIES on: that is what announces them, and NEGOTIATE_ALGORITHMS may be the
  // first message that needs them. Source: libspdm libspdm_rsp_chunk_send_ack.c,
  // libspdm_get_response_chunk_send(), which takes them from AFTER_CAPABILITIES on.
  return state.phase >= Phase::kAfterCapabilities &&
         state.can(wire::kSpdmCapChunk, wire::kSpdmCapChunk);
}

std::uint32_t last_sequence(const State& state) {
  return state.version() >= wire::kSpdmVersion14 ? std::numeric_limits<std::uint32_t>::max()
                                                 : std::numeric_limits<std::uint16_t>::max();
}

}  // namespace

std::uint32_t Flow::transfer_limit() const {
  const std::uint32_t peer = state_.agreed.peer_data_transfer_size;
  return peer != 0 ? peer : std::numeric_limits<std::uint32_t>::max();
}

Bytes Flow::fit(Bytes answer, std::uint32_t limit) {
  const auto size = static_cast<std::uint32_t>(answer.size());
  if (size <= limit) return answer;
  if (!chunks(state_) || size > state_.agreed.peer_max_message_size)
    return encode({SpdmErrorCode::kResponseTooLarge, 0, wire::SpdmTooLarge{size}.encode()});
  LargeMessage& large = state_.outgoing.emplace();
  large.bytes = std::move(answer);
  large.session = session_id_;
  large.handle = ++state_.last_handle;
  return encode({SpdmErrorCode::kLargeResponse, 0, wire::SpdmLargeResponse{large.handle}.encode()});
}

Flow::Outcome Flow::chunk_get(ByteView request) {
  if (!chunks(state_))
    return Refusal{SpdmErrorCode::kUnsupportedRequest,
                   std::to_underlying(wire::SpdmCode::kChunkGet)};
  const auto decoded = wire::SpdmChunkGet::decode(request);
  if (!decoded) return Refusal{SpdmErrorCode::kInvalidRequest};
  if (decoded->version != state_.version()) return Refusal{SpdmErrorCode::kVersionMismatch};
  if (!state_.outgoing || state_.outgoing->session != session_id_)
    return Refusal{SpdmErrorCode::kUnexpectedRequest};
  LargeMessage& large = *state_.outgoing;
  if (decoded->handle != large.handle || decoded->sequence != large.sequence)
    return Refusal{SpdmErrorCode::kInvalidRequest};
  const auto size = static_cast<std::uint32_t>(large.bytes.size());
  std::uint32_t room =
      transfer_limit() - static_cast<std::uint32_t>(wire::SpdmChunkResponse::kHeaderSize);
  if (large.sequence == 0) room -= kFirstChunkExtra;
  const std::uint32_t length = std::min(room, size - large.offset);
  wire::SpdmChunkResponse answer;
  answer.version = state_.version();
  answer.handle = large.handle;
  answer.sequence = large.sequence;
  answer.large_size = size;
  answer.chunk = ByteView(large.bytes).subspan(large.offset, length);
  answer.last = large.offset + length == size;
  // Sequence numbers of 16 bits would come again.
  if (!answer.last && large.sequence == last_sequence(state_)) {
    state_.outgoing.reset();
    return Refusal{SpdmErrorCode::kUnspecified};
  }
  Bytes bytes = answer.encode();
  large.offset += length;
  ++large.sequence;
  if (answer.last) state_.outgoing.reset();
  return bytes;
}

Flow::Outcome Flow::chunk_send(ByteView request) {
  if (!chunks(state_))
    return Refusal{SpdmErrorCode::kUnsupportedRequest,
                   std::to_underlying(wire::SpdmCode::kChunkSend)};
  const auto decoded = wire::SpdmChunkSend::decode(request);
  if (!decoded) return Refusal{SpdmErrorCode::kInvalidRequest};
  if (decoded->version != state_.version()) return Refusal{SpdmErrorCode::kVersionMismatch};
  const Settings& settings = state_.config.settings;
  const auto refuse_early_on = [&](SpdmErrorCode code) -> Outcome {
    state_.incoming.reset();
    return acknowledge(decoded->handle, decoded->sequence, encode({code}), true);
  };
  if (state_.outgoing) return Refusal{SpdmErrorCode::kUnexpectedRequest};
  if (decoded->sequence == 0) {
    if (state_.incoming) return refuse_early_on(SpdmErrorCode::kUnexpectedRequest);
    if (decoded->large_size > settings.max_message_size)
      return refuse_early_on(SpdmErrorCode::kRequestTooLarge);
    state_.incoming = LargeMessage{.bytes = {},
                                   .session = session_id_,
                                   .handle = decoded->handle,
                                   .sequence = 0,
                                   .size = decoded->large_size,
                                   .offset = 0};
  }
  if (!state_.incoming || state_.incoming->session != session_id_)
    return refuse_early_on(SpdmErrorCode::kInvalidRequest);
  LargeMessage& large = *state_.incoming;
  const bool fits = decoded->chunk.size() <= large.size - large.bytes.size();
  const bool complete = fits && large.bytes.size() + decoded->chunk.size() == large.size;
  if (decoded->handle != large.handle || decoded->sequence != large.sequence || !fits ||
      decoded->last != complete || decoded->chunk.empty() ||
      decoded->sequence >= settings.limits.chunks)
    return refuse_early_on(SpdmErrorCode::kInvalidRequest);
  large.bytes.insert(large.bytes.end(), decoded->chunk.begin(), decoded->chunk.end());
  ++large.sequence;
  if (!complete) return acknowledge(decoded->handle, decoded->sequence, {}, false);
  return last_chunk();
}

Flow::Outcome Flow::last_chunk() {
  const LargeMessage large = *std::exchange(state_.incoming, std::nullopt);
  const std::uint32_t sequence = large.sequence - 1;
  const auto header = wire::SpdmHeader::decode(large.bytes);
  // A chunk inside of chunks, or a message that never comes in chunks: those before
  // CAPABILITIES has announced them. Source: DSP0274 1.2, 10.26 (guess at the clause).
  const auto is = [&](wire::SpdmCode code) { return header->code == std::to_underlying(code); };
  if (!header || is(wire::SpdmCode::kChunkSend) || is(wire::SpdmCode::kChunkGet) ||
      is(wire::SpdmCode::kGetVersion) || is(wire::SpdmCode::kGetCapabilities))
    return acknowledge(large.handle, sequence, encode({SpdmErrorCode::kInvalidRequest}), false);
  if (state_.config.observer != nullptr) state_.config.observer->received(session_id_, large.bytes);
  Outcome outcome = dispatch(large.bytes);
  if (std::holds_alternative<AppRequest>(outcome)) {
    state_.app->chunked = std::pair{large.handle, sequence};
    return outcome;
  }
  if (const auto* refusal = std::get_if<Refusal>(&outcome))
    return acknowledge(large.handle, sequence, encode(*refusal), false);
  return acknowledge(large.handle, sequence, std::move(std::get<Bytes>(outcome)), false);
}

Bytes Flow::acknowledge(const State::PendingApp& app, Bytes answer) {
  if (!app.chunked) return fit(std::move(answer), transfer_limit());
  return acknowledge(app.chunked->first, app.chunked->second, std::move(answer), false);
}

Bytes Flow::acknowledge(std::uint8_t handle, std::uint32_t sequence, Bytes answer,
                        bool early_error) {
  wire::SpdmChunkSendAck ack;
  ack.version = state_.version();
  ack.early_error = early_error;
  ack.handle = handle;
  ack.sequence = sequence;
  ack.response = answer;
  Bytes whole = ack.encode();
  if (whole.size() <= transfer_limit()) return whole;
  // DSP0274 1.2.1, CHUNK_SEND: where the response makes CHUNK_SEND_ACK exceed DataTransferSize,
  // ERROR LargeResponse comes in the acknowledgement's place. libspdm
  // libspdm_rsp_receive_send.c, libspdm_build_response(), does so too.
  Bytes error = fit(std::move(answer), 0);
  if (state_.outgoing) return error;
  ack.response = error;
  return ack.encode();
}

}  // namespace teeio::spdm::responder
