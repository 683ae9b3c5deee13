// CHUNK_SEND and CHUNK_GET: messages that are larger than a transfer.
#include <algorithm>
#include <limits>
#include <utility>

#include "spdm/requester_pump.h"
#include "wire/spdm_chunk.h"
#include "wire/spdm_error.h"

namespace teeio::spdm::requester {

Result<void> Pump::begin_fetching(std::uint8_t handle) {
  Transfer& transfer = *state_.transfer;
  transfer.mode = Transfer::Mode::kFetching;
  transfer.handle = handle;
  transfer.sequence = 0;
  transfer.size = 0;
  transfer.answer.clear();
  return ask_chunk();
}

Result<void> Pump::ask_chunk() {
  const Transfer& transfer = *state_.transfer;
  wire::SpdmChunkGet request;
  request.version = state_.version();
  request.handle = transfer.handle;
  request.sequence = transfer.sequence;
  return put_out(request.encode());
}

Result<void> Pump::take_chunk(ByteView message) {
  Transfer& transfer = *state_.transfer;
  const Settings& settings = state_.config.settings;
  TEEIO_ASSIGN(const auto chunk, wire::SpdmChunkResponse::decode(message));
  if (chunk.handle != transfer.handle || chunk.sequence != transfer.sequence)
    return fail(Errno::kInval, "CHUNK_RESPONSE is another chunk than the one asked for");
  if (chunk.sequence == 0) {
    if (chunk.large_size > settings.max_message_size)
      return fail(Errno::kTooBig, "the device's answer is larger than this end takes");
    transfer.size = chunk.large_size;
  }
  const std::size_t so_far = transfer.answer.size() + chunk.chunk.size();
  if (chunk.chunk.empty() || so_far > transfer.size || chunk.last != (so_far == transfer.size))
    return fail(Errno::kInval, "CHUNK_RESPONSE has another length than was announced");
  transfer.answer.insert(transfer.answer.end(), chunk.chunk.begin(), chunk.chunk.end());
  if (!chunk.last) {
    if (++transfer.sequence >= settings.limits.chunks)
      return fail(Errno::kTooBig, "the device's answer has more chunks than the limit");
    return ask_chunk();
  }
  const Bytes whole = std::move(transfer.answer);
  transfer.mode = Transfer::Mode::kWhole;
  if (state_.config.observer != nullptr) state_.config.observer->received(transfer.session, whole);
  const auto header = wire::SpdmHeader::decode(whole);
  if (!header || header->code == std::to_underlying(wire::SpdmCode::kError) ||
      header->version != state_.version())
    return fail(Errno::kInval, "the chunks are no answer");
  return take_answer(whole);
}

Result<void> Pump::send_chunk() {
  Transfer& transfer = *state_.transfer;
  const ByteView whole = transfer.request;
  wire::SpdmChunkSend request;
  request.version = state_.version();
  request.handle = transfer.handle;
  request.sequence = transfer.sequence;
  request.large_size = static_cast<std::uint32_t>(whole.size());
  std::size_t room = state_.agreed.peer_data_transfer_size - wire::SpdmChunkSend::kHeaderSize;
  if (transfer.sequence == 0) room -= sizeof(request.large_size);
  request.chunk = whole.subspan(transfer.sent, std::min(room, whole.size() - transfer.sent));
  request.last = transfer.sent + request.chunk.size() == whole.size();
  if (!request.last && transfer.sequence >= std::numeric_limits<std::uint16_t>::max())
    return fail(Errno::kTooBig, "message has more chunks than there are numbers");
  const std::size_t sent = transfer.sent + request.chunk.size();
  if (request.last && state_.config.observer != nullptr)
    state_.config.observer->sent(transfer.session, whole);
  TEEIO_TRY(put_out(request.encode()));
  transfer.sent = sent;
  if (request.last) state_.queue.front()->sealed(state_);
  return {};
}

Result<void> Pump::take_chunk_ack(ByteView message) {
  Transfer& transfer = *state_.transfer;
  TEEIO_ASSIGN(const auto ack, wire::SpdmChunkSendAck::decode(message));
  if (ack.handle != transfer.handle || ack.sequence != transfer.sequence)
    return fail(Errno::kInval, "CHUNK_SEND_ACK is of another chunk");
  const bool last = transfer.sent == transfer.request.size();
  if (!last && !ack.early_error) {
    ++transfer.sequence;
    return send_chunk();
  }
  // The answer, or why there is none, is inside.
  transfer.mode = Transfer::Mode::kWhole;
  const Bytes inner(ack.response.begin(), ack.response.end());
  const auto header = wire::SpdmHeader::decode(inner);
  if (!header) return fail(Errno::kInval, "CHUNK_SEND_ACK has no answer inside");
  if (ack.early_error && header->code != std::to_underlying(wire::SpdmCode::kError))
    return fail(Errno::kInval, "CHUNK_SEND_ACK announces an error that it does not have");
  return take_plain(inner);
}

}  // namespace teeio::spdm::requester
