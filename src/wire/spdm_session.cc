#include "wire/spdm_session.h"

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr unsigned kSignatureIncluded = 1;  ///< FINISH's param1
constexpr unsigned kClearNegotiated = 1;    ///< END_SESSION's param1

/// The opaque data that FINISH and its kin have since 1.4.
ByteView read_late_opaque(SpdmReader& r) {
  return r.since(kSpdmVersion14) ? r.take(r.u16()) : ByteView{};
}
void write_late_opaque(Writer& w, std::uint8_t version, ByteView opaque) {
  if (version >= kSpdmVersion14) write_opaque(w, opaque);
}

std::uint16_t size16(ByteView bytes) {
  TEEIO_CHECK(bytes.size() <= 0xffff, "the field has two bytes for its length");
  return static_cast<std::uint16_t>(bytes.size());
}

}  // namespace

Result<SpdmKeyExchange> SpdmKeyExchange::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmKeyExchange m;
  m.version = r.version();
  m.summary = r.param1();
  m.slot = r.param2();
  m.session_id = r.u16();
  m.policy = r.u8();
  if (!r.since(kSpdmVersion12)) m.policy = 0;
  r.skip(1);
  m.random = r.array<32>();
  m.exchange = r.take(sizes.exchange_request);
  m.opaque = r.take(r.u16());
  return r.finish(m);
}

Bytes SpdmKeyExchange::encode() const {
  Writer w = begin_spdm(version, kCode, summary, slot);
  w.le(session_id).le(version >= kSpdmVersion12 ? policy : std::uint8_t{0}).zeros(1);
  w.bytes(random).bytes(exchange);
  write_opaque(w, opaque);
  return w.take();
}

Result<SpdmKeyExchangeRsp> SpdmKeyExchangeRsp::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmKeyExchangeRsp m;
  m.version = r.version();
  m.heartbeat_period = r.param1();
  m.session_id = r.u16();
  m.mut_auth = r.u8() & (kSpdmMutAuth | kSpdmMutAuthEncapsulated | kSpdmMutAuthGetDigests);
  m.req_slot = r.u8() & 0xfU;
  m.random = r.array<32>();
  m.exchange = r.take(sizes.exchange_response);
  m.summary_hash = r.take(sizes.summary_hash);
  m.opaque = r.take(r.u16());
  m.signature = r.take(sizes.signature);
  m.verify_data = r.take(sizes.verify_data);
  return r.finish(m);
}

Bytes SpdmKeyExchangeRsp::encode() const {
  Writer w = begin_spdm(version, kCode, heartbeat_period);
  w.le(session_id).le(mut_auth).le(static_cast<std::uint8_t>(req_slot & 0xfU));
  w.bytes(random).bytes(exchange).bytes(summary_hash);
  write_opaque(w, opaque);
  return w.bytes(signature).bytes(verify_data).take();
}

Result<SpdmFinish> SpdmFinish::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmFinish m;
  m.version = r.version();
  m.req_slot = r.param2();
  m.opaque = read_late_opaque(r);
  if ((r.param1() & kSignatureIncluded) != 0) {
    r.require(sizes.signature != 0, "FINISH has a signature though none was negotiated");
    m.signature = r.take(sizes.signature);
  }
  m.verify_data = r.take(sizes.verify_data);
  return r.finish(m);
}

Bytes SpdmFinish::encode() const {
  Writer w = begin_spdm(version, kCode, signature.empty() ? 0U : kSignatureIncluded, req_slot);
  write_late_opaque(w, version, opaque);
  return w.bytes(signature).bytes(verify_data).take();
}

Result<SpdmFinishRsp> SpdmFinishRsp::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmFinishRsp m;
  m.version = r.version();
  m.opaque = read_late_opaque(r);
  m.verify_data = r.take(sizes.verify_data);
  return r.finish(m);
}

Bytes SpdmFinishRsp::encode() const {
  Writer w = begin_spdm(version, kCode);
  write_late_opaque(w, version, opaque);
  return w.bytes(verify_data).take();
}

Result<SpdmPskExchange> SpdmPskExchange::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmPskExchange m;
  m.version = r.version();
  m.summary = r.param1();
  if (r.since(kSpdmVersion12)) m.policy = r.param2();
  m.session_id = r.u16();
  const std::size_t hint = r.u16();
  const std::size_t context = r.u16();
  const std::size_t opaque = r.u16();
  m.hint = r.take(hint);
  m.context = r.take(context);
  m.opaque = r.take(opaque);
  return r.finish(m);
}

Bytes SpdmPskExchange::encode() const {
  Writer w = begin_spdm(version, kCode, summary, version >= kSpdmVersion12 ? policy : 0U);
  w.le(session_id).le(size16(hint)).le(size16(context)).le(size16(opaque));
  return w.bytes(hint).bytes(context).bytes(opaque).take();
}

Result<SpdmPskExchangeRsp> SpdmPskExchangeRsp::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmPskExchangeRsp m;
  m.version = r.version();
  m.heartbeat_period = r.param1();
  m.session_id = r.u16();
  r.skip(2);
  const std::size_t context = r.u16();
  const std::size_t opaque = r.u16();
  m.summary_hash = r.take(sizes.summary_hash);
  m.context = r.take(context);
  m.opaque = r.take(opaque);
  m.verify_data = r.take(sizes.verify_data);
  return r.finish(m);
}

Bytes SpdmPskExchangeRsp::encode() const {
  Writer w = begin_spdm(version, kCode, heartbeat_period);
  w.le(session_id).zeros(2).le(size16(context)).le(size16(opaque));
  return w.bytes(summary_hash).bytes(context).bytes(opaque).bytes(verify_data).take();
}

Result<SpdmPskFinish> SpdmPskFinish::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmPskFinish m;
  m.version = r.version();
  m.opaque = read_late_opaque(r);
  m.verify_data = r.take(sizes.verify_data);
  return r.finish(m);
}

Bytes SpdmPskFinish::encode() const {
  Writer w = begin_spdm(version, kCode);
  write_late_opaque(w, version, opaque);
  return w.bytes(verify_data).take();
}

Result<SpdmPskFinishRsp> SpdmPskFinishRsp::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmPskFinishRsp m;
  m.version = r.version();
  m.opaque = read_late_opaque(r);
  return r.finish(m);
}

Bytes SpdmPskFinishRsp::encode() const {
  Writer w = begin_spdm(version, kCode);
  write_late_opaque(w, version, opaque);
  return w.take();
}

template <SpdmCode Code>
Result<SpdmKeyUpdateMessage<Code>> SpdmKeyUpdateMessage<Code>::decode(ByteView in) {
  const SpdmReader r(in, Code);
  return r.finish(
      SpdmKeyUpdateMessage{.version = r.version(), .operation = r.param1(), .tag = r.param2()});
}

template <SpdmCode Code>
Bytes SpdmKeyUpdateMessage<Code>::encode() const {
  return begin_spdm(version, Code, operation, tag).take();
}

template struct SpdmKeyUpdateMessage<SpdmCode::kKeyUpdate>;
template struct SpdmKeyUpdateMessage<SpdmCode::kKeyUpdateAck>;

Result<SpdmEndSession> SpdmEndSession::decode(ByteView in) {
  const SpdmReader r(in, kCode);
  return r.finish(SpdmEndSession{
      .version = r.version(),
      .clear_negotiated_state = (r.param1() & kClearNegotiated) != 0,
  });
}

Bytes SpdmEndSession::encode() const {
  return begin_spdm(version, kCode, clear_negotiated_state ? kClearNegotiated : 0U).take();
}

}  // namespace teeio::wire
