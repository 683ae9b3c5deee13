#include "wire/spdm_key_pairs.h"

#include <utility>

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

/// One byte of length, then the bytes (1.4).
void write_short(Writer& w, ByteView bytes) {
  TEEIO_CHECK(bytes.size() <= 0xff, "the field has one byte for its length");
  w.le(static_cast<std::uint8_t>(bytes.size())).bytes(bytes);
}

}  // namespace

Result<SpdmGetKeyPairInfo> SpdmGetKeyPairInfo::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmGetKeyPairInfo m;
  m.version = r.version();
  m.key_pair = r.u8();
  return r.finish(m);
}

Bytes SpdmGetKeyPairInfo::encode() const { return begin_spdm(version, kCode).le(key_pair).take(); }

Result<SpdmKeyPairInfo> SpdmKeyPairInfo::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmKeyPairInfo m;
  m.version = r.version();
  m.total = r.u8();
  m.key_pair = r.u8();
  m.capabilities = r.u16();
  m.usage_capabilities = r.u16();
  m.current_usage = r.u16();
  m.asym_capabilities = r.u32();
  m.current_asym = r.u32();
  const std::size_t info = r.u16();
  m.slot_mask = r.u8();
  m.public_key_info = r.take(info);
  if (r.since(kSpdmVersion14)) {
    m.pqc_capabilities = r.take(r.u8());
    m.current_pqc = r.take(r.u8());
  }
  return r.finish(m);
}

Bytes SpdmKeyPairInfo::encode() const {
  TEEIO_CHECK(public_key_info.size() <= 0xffff, "public key info has two bytes for its length");
  Writer w = begin_spdm(version, kCode);
  w.le(total).le(key_pair).le(capabilities).le(usage_capabilities).le(current_usage);
  w.le(asym_capabilities).le(current_asym);
  w.le(static_cast<std::uint16_t>(public_key_info.size())).le(slot_mask).bytes(public_key_info);
  if (version >= kSpdmVersion14) {
    write_short(w, pqc_capabilities);
    write_short(w, current_pqc);
  }
  return w.take();
}

Result<SpdmSetKeyPairInfo> SpdmSetKeyPairInfo::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmSetKeyPairInfo m;
  m.version = r.version();
  m.operation = r.param1();
  m.key_pair = r.u8();
  if (m.operation == std::to_underlying(SpdmKeyPairOperation::kErase)) return r.finish(m);
  r.skip(1);
  m.usage = r.u16();
  m.asym = r.u32();
  m.slot_mask = r.u8();
  if (r.since(kSpdmVersion14)) m.pqc = r.take(r.u8());
  return r.finish(m);
}

Bytes SpdmSetKeyPairInfo::encode() const {
  Writer w = begin_spdm(version, kCode, operation);
  w.le(key_pair);
  if (operation == std::to_underlying(SpdmKeyPairOperation::kErase)) return w.take();
  w.zeros(1).le(usage).le(asym).le(slot_mask);
  if (version >= kSpdmVersion14) write_short(w, pqc);
  return w.take();
}

}  // namespace teeio::wire
