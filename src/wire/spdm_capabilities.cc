#include "wire/spdm_capabilities.h"

#include "wire/spdm_algorithms_codec.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr std::uint32_t kWantsAlgorithms = 1;  ///< param1 of both messages, 1.3

/// The part that both messages share. 1.0 has its flags in the response only.
template <class Message>
void read_common(SpdmReader& r, Message& m) {
  r.skip(1);
  m.ct_exponent = r.u8();
  m.extended_flags = r.u16();
  if (!r.since(kSpdmVersion14)) m.extended_flags = 0;
  m.flags = r.u32();
  if (!r.since(kSpdmVersion12)) return;
  m.data_transfer_size = r.u32();
  m.max_spdm_message_size = r.u32();
}

template <class Message>
void write_common(Writer& w, const Message& m) {
  w.zeros(1).le(m.ct_exponent);
  w.le(m.version >= kSpdmVersion14 ? m.extended_flags : std::uint16_t{0}).le(m.flags);
  if (m.version >= kSpdmVersion12) w.le(m.data_transfer_size).le(m.max_spdm_message_size);
}

}  // namespace

std::uint32_t spdm_requester_caps(std::uint8_t version) {
  constexpr std::uint32_t k11 = kSpdmCapCert | kSpdmCapChal | kSpdmCapEncrypt | kSpdmCapMac |
                                kSpdmCapMutAuth | kSpdmCapKeyEx | kSpdmCapPsk |
                                kSpdmCapPskWithContext | kSpdmCapEncap | kSpdmCapHeartbeat |
                                kSpdmCapKeyUpdate | kSpdmCapHandshakeInTheClear | kSpdmCapPubKeyId;
  constexpr std::uint32_t k13 = kSpdmCapEndpointInfoNoSig | kSpdmCapEndpointInfoSig |
                                kSpdmCapEvent | kSpdmCapMultiKeyOnly | kSpdmCapMultiKeyNegotiated;
  std::uint32_t caps = 0;
  if (version >= kSpdmVersion11) caps |= k11;
  if (version >= kSpdmVersion12) caps |= kSpdmCapChunk;
  if (version >= kSpdmVersion13) caps |= k13;
  if (version >= kSpdmVersion14) caps |= kSpdmCapLargeResp;
  return caps;
}

std::uint32_t spdm_responder_caps(std::uint8_t version) {
  constexpr std::uint32_t k10 = kSpdmCapCache | kSpdmCapCert | kSpdmCapChal | kSpdmCapMeasNoSig |
                                kSpdmCapMeasSig | kSpdmCapMeasFresh;
  constexpr std::uint32_t k12 =
      kSpdmCapChunk | kSpdmCapAliasCert | kSpdmCapSetCert | kSpdmCapCsr | kSpdmCapCertInstallReset;
  constexpr std::uint32_t k13 = kSpdmCapMel | kSpdmCapGetKeyPairInfo | kSpdmCapSetKeyPairInfo;
  std::uint32_t caps = k10 | spdm_requester_caps(version);
  if (version >= kSpdmVersion12) caps |= k12;
  if (version >= kSpdmVersion13) caps |= k13;
  if (version >= kSpdmVersion14) caps |= kSpdmCapSetKeyPairReset;
  return caps;
}

Result<SpdmGetCapabilities> SpdmGetCapabilities::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmGetCapabilities m;
  m.version = r.version();
  m.want_algorithms = r.since(kSpdmVersion13) && (r.param1() & kWantsAlgorithms) != 0;
  if (r.since(kSpdmVersion11)) read_common(r, m);
  return r.finish(m);
}

Bytes SpdmGetCapabilities::encode() const {
  Writer w = begin_spdm(version, kCode,
                        version >= kSpdmVersion13 && want_algorithms ? kWantsAlgorithms : 0);
  if (version >= kSpdmVersion11) write_common(w, *this);
  return w.take();
}

Result<SpdmCapabilities> SpdmCapabilities::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmCapabilities m;
  m.version = r.version();
  read_common(r, m);
  if (r.since(kSpdmVersion13) && (r.param1() & kWantsAlgorithms) != 0)
    m.algorithms = read_algorithm_block(r);
  return r.finish(m);
}

Bytes SpdmCapabilities::encode() const {
  const bool block = version >= kSpdmVersion13 && algorithms.has_value();
  Writer w = begin_spdm(version, kCode, block ? kWantsAlgorithms : 0);
  write_common(w, *this);
  if (block) write_algorithm_block(w, *algorithms, version);
  return w.take();
}

}  // namespace teeio::wire
