#include "wire/spdm_chunk.h"

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr unsigned kFlag = 1;  ///< param1: last chunk, or an early error

std::uint32_t read_sequence(SpdmReader& r) { return r.since(kSpdmVersion14) ? r.u32() : r.u16(); }

void write_sequence(Writer& w, std::uint8_t version, std::uint32_t sequence) {
  if (version >= kSpdmVersion14) {
    w.le(sequence);
    return;
  }
  TEEIO_CHECK(sequence <= 0xffff, "chunk numbers have 16 bits before 1.4");
  w.le(static_cast<std::uint16_t>(sequence));
}

}  // namespace

template <SpdmCode Code>
Result<SpdmChunk<Code>> SpdmChunk<Code>::decode(ByteView in) {
  SpdmReader r(in, Code);
  SpdmChunk m;
  m.version = r.version();
  m.last = (r.param1() & kFlag) != 0;
  m.handle = r.param2();
  m.sequence = read_sequence(r);
  if (!r.since(kSpdmVersion14)) r.skip(2);
  const std::size_t size = r.u32();
  if (m.sequence == 0) m.large_size = r.u32();
  m.chunk = r.take(size);
  return r.finish(m);
}

template <SpdmCode Code>
Bytes SpdmChunk<Code>::encode() const {
  Writer w = begin_spdm(version, Code, last ? kFlag : 0U, handle);
  write_sequence(w, version, sequence);
  if (version < kSpdmVersion14) w.zeros(2);
  w.le(static_cast<std::uint32_t>(chunk.size()));
  if (sequence == 0) w.le(large_size);
  return w.bytes(chunk).take();
}

template struct SpdmChunk<SpdmCode::kChunkSend>;
template struct SpdmChunk<SpdmCode::kChunkResponse>;

Result<SpdmChunkSendAck> SpdmChunkSendAck::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmChunkSendAck m;
  m.version = r.version();
  m.early_error = (r.param1() & kFlag) != 0;
  m.handle = r.param2();
  m.sequence = read_sequence(r);
  m.response = r.rest();
  return r.finish(m);
}

Bytes SpdmChunkSendAck::encode() const {
  Writer w = begin_spdm(version, kCode, early_error ? kFlag : 0U, handle);
  write_sequence(w, version, sequence);
  return w.bytes(response).take();
}

Result<SpdmChunkGet> SpdmChunkGet::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmChunkGet m;
  m.version = r.version();
  m.handle = r.param2();
  m.sequence = read_sequence(r);
  return r.finish(m);
}

Bytes SpdmChunkGet::encode() const {
  Writer w = begin_spdm(version, kCode, 0, handle);
  write_sequence(w, version, sequence);
  return w.take();
}

}  // namespace teeio::wire
