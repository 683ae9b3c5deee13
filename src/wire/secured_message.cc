#include "wire/secured_message.h"

#include "base/check.h"

namespace teeio::wire {

Result<SecuredMessage> SecuredMessage::decode(ByteView in, std::size_t sequence_size) {
  Reader r(in);
  SecuredMessage m;
  m.session_id = r.le<std::uint32_t>();
  m.sequence = r.take(sequence_size);
  const std::size_t length = r.le<std::uint16_t>();
  if (!r.ok()) return fail(Errno::kInval, "secured message is shorter than its header");
  m.associated = in.first(in.size() - r.rest().size());
  const ByteView body = r.take(length);
  if (!r.ok()) return fail(Errno::kInval, "secured message is shorter than its Length");
  if (body.size() < kTagSize) return fail(Errno::kInval, "secured message has no room for its tag");
  m.ciphertext = body.first(body.size() - kTagSize);
  m.tag = body.last(kTagSize);
  m.wire = in.first(m.associated.size() + length);
  return m;
}

Bytes encode_secured_header(std::uint32_t session_id, ByteView sequence, std::size_t body_size) {
  TEEIO_CHECK(body_size <= SecuredMessage::kMaxBody, "a secured message has 16 bits of length");
  Writer w;
  w.le(session_id).bytes(sequence).le(static_cast<std::uint16_t>(body_size));
  return w.take();
}

Result<SecuredPlaintext> SecuredPlaintext::decode(ByteView in) {
  Reader r(in);
  SecuredPlaintext m;
  m.application = r.take(r.le<std::uint16_t>());
  if (!r.ok()) return fail(Errno::kInval, "secured message's application data leaves it");
  m.random = r.rest();
  return m;
}

Bytes SecuredPlaintext::encode() const {
  TEEIO_CHECK(application.size() <= 0xffff, "application data has two bytes for its length");
  Writer w;
  w.le(static_cast<std::uint16_t>(application.size())).bytes(application).bytes(random);
  return w.take();
}

}  // namespace teeio::wire
