#include "firmware/sev/conversation.h"

#include "crypto/secret.h"

namespace teeio::sev {

Result<Bytes> Conversation::next(spdm::RequesterChannel& channel) {
  std::optional<Bytes> object;
  if (channel_ == Channel::kConnect) object = channel.connect_request();
  if (channel_ == Channel::kMeasure) object = channel.measure_request(nonce_);
  if (object) return std::move(*object);
  if (channel_ == Channel::kConnect && !channel.connected())
    return fail(Errno::kIo, "the device cannot be connected");
  if (channel_ != Channel::kDisconnect) channel_ = Channel::kNothing;
  if (!script_.empty()) {
    Exchange& exchange = script_.front();
    auto sealed = channel.seal(exchange.protocol, exchange.request);
    crypto::wipe(exchange.request);  // sent once; a KEY_PROG has a key in it
    return sealed;
  }
  if (channel_ == Channel::kDisconnect) object = channel.disconnect_request();
  return object.value_or(Bytes{});
}

Result<void> Conversation::take(spdm::RequesterChannel& channel, ByteView object) {
  if (channel_ == Channel::kConnect) return channel.connect_response(object);
  if (channel_ == Channel::kMeasure) return channel.measure_response(object);
  if (script_.empty() && channel_ == Channel::kDisconnect) {
    (void)channel.disconnect_response(object);
    return {};
  }
  if (script_.empty()) return fail(Errno::kInval, "no answer is due");
  const Exchange done = std::move(script_.front());
  script_.pop_front();
  TEEIO_ASSIGN(const Bytes answer, channel.open(done.protocol, object));
  return done.take(answer);
}

Exchange tdisp(wire::TdispFunctionId to, const wire::TdispBody& request, TakeTdisp take) {
  return {wire::Protocol::kTdisp, wire::encode_tdisp({to, request}),
          [to, take = std::move(take)](ByteView answer) -> Result<void> {
            TEEIO_ASSIGN(const wire::TdispMessage message, wire::decode_tdisp(answer));
            if (message.function_id != to)
              return fail(Errno::kIo, "the answer is another function's");
            return take(message.body);
          }};
}

}  // namespace teeio::sev
